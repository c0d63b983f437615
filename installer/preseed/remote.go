package preseed

import (
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Remote is where a stick's answers are fetched from, and how one knows that they are the
// right ones. It is read from a small file beside where the answers would lie:
//
//	url: https://answers.example.org/westland-3.yaml
//	signed-by: RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3    # or sha256
//	ca: |                                    # who vouches for the server, as PEM
//	  -----BEGIN CERTIFICATE-----
//	network: {links: [{name: uplink, vlan: 20}]}    # as in an answer file
type Remote struct {
	URL    string
	SHA256 []byte     // of the answers; empty: not given
	Signer *PublicKey // who signed them; nil: not given
	CA     string     // PEM; "": the system's own authorities
	// Links is an answer file of which only the network, with its secrets, means anything:
	// the way to the server.
	Links *File
}

// remoteKeys are what only such a file has.
var remoteKeys = []string{"url", "sha256", "signed-by", "ca"}

// ReadRemote reads such a file. name is what faults call it. The error is nil or of type
// Faults.
func ReadRemote(name string, data []byte) (*Remote, error) {
	faults := &collector{file: name}
	src, ok := readSource(data, faults)
	if !ok {
		return nil, faults.err()
	}
	root, ok := src.parse(faults)
	if !ok {
		for i, fault := range faults.faults {
			if fault.Remedy == beginWith {
				faults.faults[i].Remedy = "write url: https://…, and sha256 or signed-by"
			}
		}
		return nil, faults.err()
	}
	r := &remoteReader{src: src, faults: faults, remote: &Remote{}, own: map[string]ast.Node{}}
	r.sort(entries(root))
	r.read()
	if err := faults.err(); err != nil {
		return nil, err
	}
	var err error
	if r.remote.Links, err = Read(name, []byte(r.answers())); err != nil {
		return nil, err
	}
	return r.remote, nil
}

type remoteReader struct {
	src    *source
	faults *collector
	remote *Remote
	own    map[string]ast.Node // by key
	lines  []string            // of the file, without what only it has
}

// sort takes the keys apart: those of its own, and the lines of an answer file, which stay
// where they are, so that faults in them are told by their places.
func (r *remoteReader) sort(all []*ast.MappingValueNode) {
	for i := range r.src.lines {
		r.lines = append(r.lines, r.src.line(i+1))
	}
	before := 0
	for i, entry := range all {
		at := r.src.place(entry.Key.GetToken())
		name, _ := keyText(entry.Key)
		end := len(r.lines) + 1
		if i+1 < len(all) {
			end = r.src.place(all[i+1].Key.GetToken()).line
		}
		if at.line == before || end <= at.line {
			r.faults.add(at, Fault{Key: name, Kind: FaultSyntax, Message: "two keys on one line", Remedy: "write each key on a line of its own"})
			return
		}
		before = at.line
		switch {
		case name == "network" || name == "secrets":
		case contains(remoteKeys, name):
			if _, twice := r.own[name]; twice {
				r.faults.add(at, Fault{Key: name, Kind: FaultDuplicate, Message: quote(name) + " is given twice", Remedy: "keep one of them"})
			}
			r.own[name] = entry.Value
			for line := at.line; line < end; line++ {
				r.lines[line-1] = ""
			}
		default:
			r.faults.add(at, Fault{Key: name, Kind: FaultUnknown, Message: "unknown key " + quote(name),
				Remedy: "known here: url, sha256, signed-by, ca, network and secrets; all else stands in the answers themselves"})
		}
	}
}

// answers is the rest as an answer file. What an answer file must say besides has no
// meaning here, and is said at the end, so that no line moves.
func (r *remoteReader) answers() string {
	return strings.Join(r.lines, "\n") + fmt.Sprintf("\nstek: %d\nencryption: {recovery: {show: true}}\n", FormatVersion)
}

// read judges the keys of its own.
func (r *remoteReader) read() {
	r.text("url", checkRemoteURL, func(value string) { r.remote.URL = value })
	r.text("sha256", checkDigest, func(value string) { r.remote.SHA256, _ = hex.DecodeString(strings.ToLower(value)) })
	r.text("signed-by", nil, func(value string) {
		key, err := ReadPublicKey([]byte(value))
		if err != nil {
			at := r.src.place(r.own["signed-by"].GetToken())
			r.faults.add(at, Fault{Key: "signed-by", Kind: FaultValue, Message: "signed-by: this is no minisign public key", Remedy: "copy the line that begins with RW"})
			return
		}
		r.remote.Signer = &key
	})
	r.text("ca", checkCertificate, func(value string) { r.remote.CA = value })
	if _, given := r.own["url"]; !given {
		r.faults.add(position{1, 1}, Fault{Key: "url", Kind: FaultMissing, Message: "url is missing", Remedy: "write url: https://answers.example.org/site.yaml"})
	}
}

func (r *remoteReader) text(key string, rule rule, take func(string)) {
	node, given := r.own[key]
	if !given {
		return
	}
	value, ok := unwrap(node)
	if !ok {
		return
	}
	at := r.src.place(node.GetToken())
	switch form := formOf(value); {
	case form != formText && form != formNumber:
		r.faults.add(at, Fault{Key: key, Kind: FaultType, Message: key + ": expected text", Remedy: "write a value"})
	case rule == nil:
		take(scalar(value))
	default:
		if p := rule(scalar(value)); p != nil {
			r.faults.add(at, Fault{Key: key, Kind: p.kind, Message: key + ": " + p.message, Remedy: p.remedy})
			return
		}
		take(scalar(value))
	}
}

// checkRemoteURL judges the address of a file. It may hold a password by mistake, so it
// is never repeated.
func checkRemoteURL(value string) *problem {
	const form = "write it as https://answers.example.org/site.yaml"
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Hostname() == "":
		return bad("this is no URL", form)
	case u.Scheme != "https":
		return bad("answers are fetched with encryption only", form)
	case u.User != nil:
		return bad("the URL holds a user or a password, which anybody with the stick would read", form)
	case u.Fragment != "" || u.Path == "" || strings.HasSuffix(u.Path, "/"):
		return bad("the URL names no file", form)
	}
	return checkHost(u.Hostname())
}

// checkDigest judges a SHA-256.
func checkDigest(value string) *problem {
	if sum, err := hex.DecodeString(strings.ToLower(value)); err != nil || len(sum) != 32 {
		return bad("this is no SHA-256 (64 hexadecimal digits)", "copy what sha256sum printed, in quotes")
	}
	return nil
}
