package preseed

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stek-edge/stek/test/golden"
)

// TestTemplate checks the file that a person begins with.
func TestTemplate(t *testing.T) {
	got, err := Template(map[string][]string{
		"node.name": {"kas-{serial}"}, "node.admin.ssh-keys": {"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJx3sVYZRWVnhvbXjUbuaBRVHAGrLGwiDgDDpGKvEnKW office"},
		"node.admin.password-hash": {"secret:admin"}, "secrets.file": {"secrets.age"}, "encryption.tpm2.pin": {"ask"},
		"disk.match.min-size": {"32GB"}, "disk.erase": {"true"}, "encryption.unlock": {"tpm2", "passphrase"}, "encryption.recovery.show": {"true"},
		"k3s.labels.hall": {"7"}, "k3s.labels.example.org/spare": {""}})
	if err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "template.yaml", got)
	a, err := Parse("f", got)
	if err != nil {
		t.Fatal(err)
	}
	if a.Node.Name != "kas-{serial}" || len(a.Encryption.Unlock) != 2 || a.K3s.Labels["hall"] != "7" || len(a.K3s.Labels) != 2 || !a.Disk.Erase {
		t.Errorf("the file says\n%s", Redacted(a))
	}
}

// TestTemplateExamples switches every line of the file on: all of them are right by
// themselves, although they cannot all hold together.
func TestTemplateExamples(t *testing.T) {
	text, err := Template(map[string][]string{"encryption.recovery.show": {"true"}})
	if err != nil {
		t.Fatal(err)
	}
	on := regexp.MustCompile(`(?m)^( *)#([^ \n])`).ReplaceAll(text, []byte("$1$2"))
	_, err = Read("f", on)
	for _, fault := range errorFaults(err) {
		if key, _ := Lookup(fault.Key); fault.Kind != FaultConflict && !key.Lines {
			t.Errorf("%v\n%s", fault, strings.Split(string(on), "\n")[fault.Line-1])
		}
	}
	for _, key := range Keys() {
		if !strings.Contains(string(on), "\n"+strings.Repeat("  ", strings.Count(key.Path, "."))+key.Name()+":") && !strings.Contains(key.Path, "[]") {
			t.Errorf("the file does not show %s", key.Path)
		}
	}
}

// TestTemplateFaults sets what cannot be.
func TestTemplateFaults(t *testing.T) {
	_, err := Template(map[string][]string{"node.nmae": {"x"}, "node.name": {"Kas"}, "disk.erase": {"yes"}, "encryption.tpm2.pin": {"271828"},
		"node.site": {"a", "b"}, "network.links[].name": {"x"}, "disk": {"x"}, "k3s.labels.-": {"x"}, "encryption.unlock": {"tpm"}})
	want := `disk.erase: expected true or false
encryption.tpm2.pin: a secret is not written into the file; write secret:NAME, and the value into the secrets file
encryption.unlock: "tpm" is unknown, expected tpm2, tang, board, passphrase or key-stick; did you mean tpm2?
k3s.labels.-: "-" is no Kubernetes name; use up to 63 letters, digits, dashes, dots and underscores, with a letter or digit at both ends
node.name: a host name has no capitals; use small letters, digits and dashes, as in kas-7
unknown key "node.nmae"; did you mean name?
node.site: given more than once; give one value`
	var lines []string
	for line := range strings.Lines(err.Error()) {
		if !strings.HasPrefix(line, "disk: is a section") && !strings.HasPrefix(line, "network.links[].name: stands in a list") {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if len(lines) != strings.Count(err.Error(), "\n")+1-2 {
		t.Errorf("a section, and an entry of a list, are set:\n%v", err)
	}
	if _, err := Template(nil); err == nil || !strings.Contains(err.Error(), "nobody would get the recovery key") {
		t.Errorf("a file that does not say who gets the recovery key: %v", err)
	}
}
