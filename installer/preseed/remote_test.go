package preseed

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

const (
	remoteDigest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	remoteSigner = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3"
)

func TestReadRemote(t *testing.T) {
	r, err := ReadRemote("stek/preseed.url", []byte(`# the site's answers
url: https://answers.example.org:8443/westland-3.yaml?box=1

sha256: "`+remoteDigest+`"
network:
  links:
    - {name: uplink, vlan: 20}
  ntp: [192.168.7.1]
signed-by: `+remoteSigner+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	links := r.Links.Answers().Network
	if r.URL != "https://answers.example.org:8443/westland-3.yaml?box=1" || hex.EncodeToString(r.SHA256) != remoteDigest || r.Signer == nil || len(links.Links) != 1 || links.Links[0].VLAN != 20 {
		t.Errorf("got %+v with the links %+v", r, links)
	}
	if r, err := ReadRemote("f", []byte("url: https://x.example.org/a\nsha256: "+remoteDigest)); err != nil || len(r.Links.Answers().Network.Links) != 0 {
		t.Errorf("the shortest file: %+v, %v", r, err)
	}
}

func TestReadRemoteRefuses(t *testing.T) {
	const good = "url: https://x.example.org/a\n"
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "f:1:1: the file is empty; write url: https://…, and sha256 or signed-by"},
		{"a bare address", "https://x.example.org/a\n", "f:1:1: an answer file is made of keys and values, found text"},
		{"no address", "sha256: \"" + remoteDigest + "\"\n", "f:1:1: url is missing"},
		{"no encryption", "url: http://x.example.org/a\n", "f:1:6: url: answers are fetched with encryption only"},
		{"a password", "url: https://box:hunter22@x.example.org/a\n", "f:1:6: url: the URL holds a user or a password"},
		{"no file", "url: https://x.example.org/\n", "f:1:6: url: the URL names no file"},
		{"half a digest", good + "sha256: e3b0\n", "f:2:9: sha256: this is no SHA-256"},
		{"no key", good + "signed-by: hunter22\n", "f:2:12: signed-by: this is no minisign public key"},
		{"no certificate", good + "ca: hunter22\n", "f:2:5: ca: this is no certificate in PEM"},
		{"answers", good + "disk: {erase: true}\n", "f:2:1: unknown key \"disk\""},
		{"twice", good + good, "f:2:1: \"url\" is given twice"},
		{"all on one line", "{url: \"https://x.example.org/a\", network: {offline: true}}\n", "two keys on one line"},
		{"a list", good + "sha256: [a]\n", "f:2:9: sha256: expected text"},
		{"a fault in the network", good + "ca: |\n" + strings.ReplaceAll("  "+strings.TrimSpace(remoteCA), "\n", "\n  ") + "\nnetwork:\n  links: [{name: up, vlan: 5000}]\n", "f:15:28: network.links[0].vlan: 5000 is not between 1 and 4094"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := ReadRemote("f", []byte(c.text))
			var faults Faults
			if r != nil || !errors.As(err, &faults) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, %v; want %q", r, err, c.want)
			}
			if strings.Contains(err.Error(), "hunter22") {
				t.Errorf("the fault repeats a value: %v", err)
			}
		})
	}
}

const remoteCA = `
-----BEGIN CERTIFICATE-----
MIIBgDCCASegAwIBAgIUeIOKY2FHNcvp4ZupoZa5iX16J6wwCgYIKoZIzj0EAwIw
FTETMBEGA1UEAwwKRXhhbXBsZSBDQTAgFw0yNjExMjYwMDUyMzZaGA8yMTI2MTEw
MjAwNTIzNlowFTETMBEGA1UEAwwKRXhhbXBsZSBDQTBZMBMGByqGSM49AgEGCCqG
SM49AwEHA0IABGZ3IACGvoPswqnW5qj5b+2XF7RZ3h8JBQlv66d1pa5paoqhKQWe
ax98MsWzSvB3OQd1acPIYzoXn2Ak4wIpEs+jUzBRMB0GA1UdDgQWBBSyB8eP0RAM
Mr1iQaHxFqR7Azl8wTAfBgNVHSMEGDAWgBSyB8eP0RAMMr1iQaHxFqR7Azl8wTAP
BgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0cAMEQCIFU14RtuM+IXLgZWjROF
oDqMvjPQIsp7FFGh8TumVc/aAiBISRLT9W8dOLfmUeCcDsKwQ8XH0FJdoZPDRRf8
u231Xw==
-----END CERTIFICATE-----
`

// FuzzReadRemote: whatever is taken names a server and a file.
func FuzzReadRemote(f *testing.F) {
	f.Add("url: https://x.example.org/a\nsha256: \"" + remoteDigest + "\"\nnetwork: {links: [{name: up}]}\n")
	f.Add("url: https://x.example.org/a\nsigned-by: " + remoteSigner + "\nca: |\n  x\n")
	f.Add("? url\n: a\n")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ReadRemote("f", []byte(text))
		if (r == nil) == (err == nil) {
			t.Fatalf("got %v, %v", r, err)
		}
		if err == nil && (checkRemoteURL(r.URL) != nil || r.Links == nil) {
			t.Errorf("took %+v", r)
		}
	})
}
