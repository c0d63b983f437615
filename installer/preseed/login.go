package preseed

import (
	"crypto/rsa"
	"fmt"
	"regexp"
	"strings"

	"golang.org/x/crypto/ssh"
)

// minRSA is the shortest RSA key in bits that may log in.
const minRSA = 2048

// checkSSHKey judges one public key, as a line of authorized_keys (sshd(8)).
func checkSSHKey(value string) *problem {
	if looksPrivate(value) {
		return bad("this is a private key", "remove it from the file and make a new pair, since it was written down; give the line of the .pub file")
	}
	const pub = "give the line of the .pub file: type, key and a comment"
	key, _, _, rest, err := ssh.ParseAuthorizedKey([]byte(value))
	if err != nil || len(rest) > 0 {
		return bad("this is no SSH public key", pub)
	}
	if _, isCertificate := key.(*ssh.Certificate); isCertificate {
		return bad("this is an SSH certificate", pub)
	}
	switch key.Type() {
	case "ssh-dss":
		return bad("DSA keys are refused by OpenSSH", "make a new key: ssh-keygen -t ed25519")
	case ssh.KeyAlgoRSA:
		if crypto, ok := key.(ssh.CryptoPublicKey); ok {
			if public, ok := crypto.CryptoPublicKey().(*rsa.PublicKey); ok && public.N.BitLen() < minRSA {
				return bad(fmt.Sprintf("an RSA key of %d bits is too short", public.N.BitLen()), "make a new key: ssh-keygen -t ed25519")
			}
		}
	}
	return nil
}

// looksPrivate recognises the private halves that people paste by mistake. Such a
// value is never repeated in a message.
func looksPrivate(value string) bool {
	begins := func(prefix string) bool {
		return len(value) >= len(prefix) && strings.EqualFold(value[:len(prefix)], prefix)
	}
	return strings.Contains(value, "PRIVATE KEY") || begins("AGE-SECRET-KEY-") || begins("AGE-PLUGIN-")
}

// passwordHashes are the forms of crypt(5) that are strong enough: yescrypt,
// gost-yescrypt, scrypt, bcrypt, SHA-512 and SHA-256.
var passwordHashes = []*regexp.Regexp{
	regexp.MustCompile(`^\$g?y\$[./A-Za-z0-9]+\$[./A-Za-z0-9]{1,86}\$[./A-Za-z0-9]{43}$`),
	regexp.MustCompile(`^\$7\$[./A-Za-z0-9]{11,97}\$[./A-Za-z0-9]{43}$`),
	regexp.MustCompile(`^\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}$`),
	regexp.MustCompile(`^\$6\$(rounds=[1-9][0-9]{3,8}\$)?[^$:\n]{1,16}\$[./0-9A-Za-z]{86}$`),
	regexp.MustCompile(`^\$5\$(rounds=[1-9][0-9]{3,8}\$)?[^$:\n]{1,16}\$[./0-9A-Za-z]{43}$`),
}

// checkPasswordHash judges a hash without ever repeating it: it may be a password.
func checkPasswordHash(value string) *problem {
	const remedy = "make one with: mkpasswd -m yescrypt"
	for _, form := range passwordHashes {
		if form.MatchString(value) {
			return nil
		}
	}
	switch {
	case strings.HasPrefix(value, "$1$"):
		return bad("MD5 hashes are broken within minutes", remedy)
	case strings.HasPrefix(value, "$y$"), strings.HasPrefix(value, "$gy$"), strings.HasPrefix(value, "$6$"), strings.HasPrefix(value, "$5$"),
		strings.HasPrefix(value, "$2"), strings.HasPrefix(value, "$7$"):
		return bad("the hash is not complete", "copy the whole line that mkpasswd printed, in quotes")
	case strings.HasPrefix(value, "!"), strings.HasPrefix(value, "*"):
		return bad("a locked password", "leave the key out: then nobody logs in with a password")
	}
	return bad("this is no crypt(3) hash; a plain password is never taken", remedy)
}
