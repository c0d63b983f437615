package onbox

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/console"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/preseed"
)

// typist stands at the machine and types words.
type typist struct {
	words []string
	heard []string
}

func (p *typist) Say(format string, args ...any) { p.heard = append(p.heard, format) }

func (p *typist) Ask(_ context.Context, question string) ([]byte, error) {
	p.heard = append(p.heard, question)
	if len(p.words) == 0 {
		return nil, console.ErrNobody
	}
	word := p.words[0]
	p.words = p.words[1:]
	return []byte(word), nil
}

const preseedData = "../preseed/testdata/"

// stickDirectory makes the stek directory of a stick from files of the preseed
// package's tests.
func stickDirectory(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, from := range files {
		data := []byte(from)
		if strings.HasPrefix(from, preseedData) {
			var err error
			if data, err = os.ReadFile(from); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// encrypted makes a secrets file with a passphrase that is cheap to try.
func encrypted(t *testing.T, passphrase, text string) string {
	t.Helper()
	recipient, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	recipient.SetWorkFactor(4)
	var out strings.Builder
	w, err := age.Encrypt(&out, recipient)
	if err == nil {
		_, err = w.Write([]byte(text))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestReadAnswers checks what an installation takes its answers from.
func TestReadAnswers(t *testing.T) {
	const (
		withSecret = "stek: 1\nnode: {admin: {password-hash: secret:admin}}\nencryption: {recovery: {show: true}}\nsecrets: {file: secrets.age}\n"
		site       = "stek: 1\nencryption: {recovery: {show: true}}\nboxes:\n  - {serial: A1, node: {name: kas-1}}\n  - {serial: B2, node: {name: kas-2}, power: {profile: saver}}\n"
	)
	withPassphrase := encrypted(t, "correct horse", "admin: $y$j9T$F5Jx5fExrKuPp53xLKQ..1$6foLM1JhGupouWKMU70wxK61Kw9ZnecbACjJwRadqM2\n")
	image := stickDirectory(t, map[string]string{signerFile: preseedData + "signed/key.pub", secretsFile: preseedData + "secrets/key.txt"})
	for name, test := range map[string]struct {
		files  map[string]string
		keys   string // root of the image
		serial string
		typed  []string
		name   string // of the node
		status installer.Status
		fault  string
	}{
		"plain":               {files: map[string]string{"preseed.yaml": site}, serial: "a1", name: "kas-1"},
		"not built":           {files: map[string]string{"preseed.yaml": site}, serial: "B2", status: installer.StatusInvalid, fault: "stek/preseed.yaml:5:46: power: not in this version"},
		"not listed":          {files: map[string]string{"preseed.yaml": site}, serial: "C3", status: installer.StatusRefused, fault: "not among the boxes"},
		"unsigned":            {files: map[string]string{"preseed.yaml": site}, keys: image, serial: "A1", status: installer.StatusRefused, fault: "is not signed"},
		"signed":              {files: map[string]string{"preseed.yaml": preseedData + "signed/answers.yaml", "preseed.yaml.minisig": preseedData + "signed/answers.yaml.minisig"}, keys: image},
		"signed, and changed": {files: map[string]string{"preseed.yaml": site, "preseed.yaml.minisig": preseedData + "signed/answers.yaml.minisig"}, keys: image, status: installer.StatusRefused, fault: "was changed after it was signed"},
		"passphrase":          {files: map[string]string{"preseed.yaml": withSecret, "secrets.age": withPassphrase}, typed: []string{"", "wrong", "correct horse"}},
		"wrong passphrase":    {files: map[string]string{"preseed.yaml": withSecret, "secrets.age": withPassphrase}, typed: []string{"a", "b", "c"}, status: installer.StatusInvalid, fault: "this is not the one"},
		"nobody there":        {files: map[string]string{"preseed.yaml": withSecret, "secrets.age": withPassphrase}, status: installer.StatusFailed, fault: "nobody typed anything"},
		"no key":              {files: map[string]string{"preseed.yaml": withSecret, "secrets.age": preseedData + "secrets/key.age"}, status: installer.StatusInvalid, fault: "neither a key nor a passphrase"},
		"no secrets file":     {files: map[string]string{"preseed.yaml": withSecret}, status: installer.StatusInvalid, fault: "secrets.age cannot be read"},
		"too long":            {files: map[string]string{"preseed.yaml": strings.Repeat("#", preseed.MaxSize+1)}, status: installer.StatusInvalid, fault: "more than the limit"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := stickDirectory(t, test.files)
			var keys Keys
			if test.keys != "" {
				var err error
				if keys, err = ImageKeys(test.keys); err != nil || keys.Signer == nil || len(keys.Secrets) != 1 {
					t.Fatal(err, keys)
				}
			}
			inv := &hardware.Inventory{Board: hardware.Board{Serial: test.serial}}
			got, err := ReadAnswers(context.Background(), filepath.Join(dir, "preseed.yaml"), "stek/preseed.yaml", inv, keys, &typist{words: test.typed})
			if test.fault != "" {
				if err == nil || !strings.Contains(err.Error(), test.fault) || installer.StatusOf(err) != test.status {
					t.Errorf("status %d, error %v; want %d, %s", installer.StatusOf(err), err, test.status, test.fault)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if test.name != "" && got.Full.Node.Name != test.name {
				t.Errorf("the box is called %s", got.Full.Node.Name)
			}
			if hash := got.Full.Node.Admin.PasswordHash.Reveal(); strings.HasPrefix(hash, preseed.SecretPrefix) ||
				hash != "" && strings.Contains(string(preseed.Redacted(got.Given)), hash) {
				t.Error("a secret was not looked up, or is in the replay")
			}
		})
	}
}

// TestSecretsOfTheImage opens a secrets file by the key that the image carries.
func TestSecretsOfTheImage(t *testing.T) {
	file, err := os.Open(preseedData + "secrets/key.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	keys, err := preseed.KeyFile(file)
	if err != nil {
		t.Fatal(err)
	}
	dir := stickDirectory(t, map[string]string{"secrets.age": preseedData + "secrets/key.age",
		"preseed.yaml": "stek: 1\nnode: {admin: {password-hash: secret:admin}}\nencryption: {recovery: {show: true}}\nsecrets: {file: secrets.age}\n"})
	got, err := ReadAnswers(context.Background(), filepath.Join(dir, "preseed.yaml"), "p", &hardware.Inventory{}, Keys{Secrets: keys}, &typist{})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(got.Full.Node.Admin.PasswordHash.Reveal(), "$y$") || got.Given.Node.Admin.PasswordHash != "secret:admin" {
		t.Error("the secret is not where it belongs")
	}
}

// TestBrokenImageKeys refuses an image whose keys cannot be read: going on would be
// going on without them.
func TestBrokenImageKeys(t *testing.T) {
	if keys, err := ImageKeys(t.TempDir()); err != nil || keys.Signer != nil || keys.Secrets != nil {
		t.Errorf("an image without keys: %v, %v", keys, err)
	}
	for _, name := range []string{signerFile, secretsFile} {
		if _, err := ImageKeys(stickDirectory(t, map[string]string{name: "AGE-SECRET-KEY-1canary"})); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
