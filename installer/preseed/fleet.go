package preseed

import (
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
)

// checkTangURL judges the address of a Tang server. Plain http is usual: what it
// carries is worth nothing to a listener (McCallum-Relyea exchange).
func checkTangURL(value string) *problem { return judgeURL(value, "http://10.0.0.5", "http", "https") }

// checkServerURL judges the address of a k3s server.
func checkServerURL(value string) *problem {
	return judgeURL(value, "https://10.77.0.1:6443", "https")
}

// checkHub judges the address of the hub.
func checkHub(value string) *problem { return judgeURL(value, "https://hub.example.org", "https") }

// checkThumbprint judges the thumbprint of a JSON Web Key (RFC 7638) with SHA-256.
func checkThumbprint(value string) *problem {
	if digest, err := base64.RawURLEncoding.Strict().DecodeString(value); err != nil || len(digest) != 32 {
		return bad(quote(value)+" is no SHA-256 thumbprint (43 characters of base64url)", "copy what tang-show-keys printed")
	}
	return nil
}

// checkPin judges the digest of a certificate.
func checkPin(value string) *problem {
	const form = "print it with: openssl x509 -in ca.pem -outform der | sha256sum"
	digits, prefixed := strings.CutPrefix(value, "sha256:")
	switch digest, err := hex.DecodeString(digits); {
	case !prefixed:
		return bad(quote(value)+" does not begin with sha256:", form)
	case err != nil || len(digest) != 32:
		return bad("a SHA-256 digest has 64 hexadecimal digits", form)
	case digits != strings.ToLower(digits):
		return bad("a digest is written in small letters", "did you mean sha256:"+strings.ToLower(digits)+"?")
	}
	return nil
}

// checkStack judges the name of a stack.
func checkStack(value string) *problem {
	if !isLabel(value) || len(value) > maxHostName || value[0] == '-' || value[len(value)-1] == '-' {
		return bad(quote(value)+" is no name for a stack", "use small letters, digits and inner dashes")
	}
	return nil
}

// questions are the keys that the screen asks for; those below them go with them.
var questions = []string{
	"node.language", "node.keyboard", "disk.match", "encryption.unlock", "encryption.tpm2.pin", "encryption.recovery.show", "encryption.recovery.recipient",
	"boot.secure-boot", "network.offline", "network.links", "network.country", "network.ntp", "network.proxy", "network.vpn",
	"node.name", "node.site", "node.timezone", "node.admin.ssh-keys", "k3s.role", "k3s.server", "k3s.token", "on-finish",
}

// Questions returns the keys that the screen has a question for, and that the key ask may
// name, or a section around them.
func Questions() []string { return slices.Clone(questions) }

// Covers tells whether a key of ask has a person asked for another key: for itself, for
// one below it, or for the one that it is a part of.
func Covers(ask, key string) bool {
	return ask == key || strings.HasPrefix(key, ask+".") || strings.HasPrefix(key, ask+"[") || strings.HasPrefix(ask, key+".")
}

// willBeAsked tells whether a person decides on a key, so that what the file leaves open
// there is no fault.
func (a *Answers) willBeAsked(key string) bool {
	return slices.ContainsFunc(a.Ask, func(ask string) bool { return Covers(ask, key) })
}

// checkAsk judges a key that a person is to be asked for.
func checkAsk(value string) *problem {
	key, known := keyIndex[value]
	switch {
	case !known:
		return bad(quote(value)+" is no key", suggestPath(value))
	case strings.Contains(key.Path, "[]") || !slices.ContainsFunc(questions, func(q string) bool { return Covers(value, q) }):
		return bad(quote(value)+" cannot be asked for on the screen", "name another key, or the section around it")
	}
	return nil
}

// checkSecretsFile judges the name of the secrets file, which stands beside the
// answer file and nowhere else: a path would not survive the way onto a stick.
func checkSecretsFile(value string) *problem {
	switch {
	case strings.ContainsAny(value, `/\:`):
		return bad(quote(value)+" is a path", "put the file beside this one and give its name only")
	case !strings.HasSuffix(value, ".age"):
		return bad(quote(value)+" does not end with .age", "encrypt the file with age, for example to secrets.age")
	case strings.HasPrefix(value, "."):
		return bad("a file that begins with a dot does not show", "give it another name")
	}
	return nil
}
