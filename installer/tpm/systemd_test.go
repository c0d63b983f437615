package tpm

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stek-edge/stek/test/swtpm"
)

// token is the "systemd-tpm2" token of LUKS2, as systemd writes it.
type token struct {
	Blob       string `json:"tpm2-blob"`
	PCRs       []int  `json:"tpm2-pcrs"`
	Bank       string `json:"tpm2-pcr-bank"`
	PrimaryAlg string `json:"tpm2-primary-alg"`
	PolicyHash string `json:"tpm2-policy-hash"`
	PIN        bool   `json:"tpm2-pin"`
	Key        string `json:"tpm2_pubkey"`
	KeyPCRs    []int  `json:"tpm2_pubkey_pcrs"`
	Salt       string `json:"tpm2_salt"`
	SRK        string `json:"tpm2_srk"`
}

func (j token) sealed(t *testing.T) *Sealed {
	t.Helper()
	b64 := func(s string) []byte {
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	hash, err := hex.DecodeString(j.PolicyHash)
	if err != nil {
		t.Fatal(err)
	}
	s := &Sealed{
		Blob: b64(j.Blob), SRK: b64(j.SRK), PolicyHash: hash, PCRs: j.PCRs, PIN: j.PIN,
		Salt: b64(j.Salt), PrimaryAlg: j.PrimaryAlg, Bank: j.Bank,
	}
	if j.Key != "" {
		block, _ := pem.Decode(b64(j.Key))
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		s.Signed = &Signed{Key: key.(*rsa.PublicKey), PCRs: j.KeyPCRs}
	}
	return s
}

// TestSystemd257 unseals what systemd 257 sealed; Debian 12 has an older one. In testdata
// are the TPM's state, the tokens and the SHA-256 of their secrets (cryptsetup opened the
// volumes' key slots with them when the files were made).
func TestSystemd257(t *testing.T) {
	const dir = "testdata/systemd-257/"
	file := func(name string) []byte {
		b, err := os.ReadFile(dir + name)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	signatures, err := ParseSignatureFile(file("tpm2-pcr-signature.json"))
	if err != nil {
		t.Fatal(err)
	}
	state := t.TempDir()
	if err := os.WriteFile(filepath.Join(state, "tpm2-00.permall"), file("tpm2-00.permall"), 0o600); err != nil {
		t.Fatal(err)
	}
	emu := swtpm.StartIn(t, state)
	check := func(t *testing.T, name, pin string) {
		t.Helper()
		d := open(t, emu)
		boot(t, d)
		var j token
		if err := json.Unmarshal(file(name+".token.json"), &j); err != nil {
			t.Fatal(err)
		}
		s := j.sealed(t)
		if len(s.SRK) == 0 || len(s.Salt) == 0 && s.PIN {
			t.Fatal("this is the older form")
		}
		secret, err := d.Unseal(context.Background(), s, signatures, []byte(pin))
		if err != nil {
			t.Fatal(err)
		}
		if hex.EncodeToString(sha256Sum(secret)) != strings.TrimSpace(string(file(name+".sha256"))) {
			t.Error("another secret")
		}
		if err := d.Check(context.Background(), s, nil); err != nil {
			t.Errorf("check: %v", err)
		}
	}
	for name, pin := range map[string]string{"literal": "", "signed": "", "pin": "geheim ß", "everything": "geheim ß"} {
		t.Run(name, func(t *testing.T) {
			if err := emu.Reset(); err != nil {
				t.Fatal(err)
			}
			check(t, name, pin)
		})
	}
	// The key made here from the template is the one systemd made.
	t.Run("storage key made again", func(t *testing.T) {
		tools(t, emu, "tpm2_evictcontrol -C o -c 0x81000001")
		check(t, "literal", "")
	})
}

// TestSystemdEnrolled unseals what systemd-cryptenroll sealed, and checks with cryptsetup
// that it opens the key slot. Debian 12's systemd writes the older form of the token,
// later ones the form with the storage root key.
func TestSystemdEnrolled(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	run := func(stdin string, env []string, words ...string) []byte {
		t.Helper()
		cmd := exec.Command(words[0], words[1:]...)
		cmd.Stdin, cmd.Env = strings.NewReader(stdin), append(os.Environ(), env...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(words, " "), err, out)
		}
		return out
	}
	der, err := x509.MarshalPKIXPublicKey(&signingKey().PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	keyFile := file("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	_, signatures := signed(t)
	sigJSON, err := json.Marshal(signatures)
	if err != nil {
		t.Fatal(err)
	}
	sigFile := file("sig.json", sigJSON)
	parsed, err := ParseSignatureFile(sigJSON)
	if err != nil {
		t.Fatal(err)
	}

	for _, c := range []struct {
		name string
		pin  string
		args []string
	}{
		{"literal PCR", "", []string{"--tpm2-pcrs=7"}},
		{"no PCR", "", []string{"--tpm2-pcrs="}},
		{"PIN", "geheim ß", []string{"--tpm2-pcrs=7", "--tpm2-with-pin=yes"}},
		{"signed", "", []string{"--tpm2-pcrs=", "--tpm2-public-key=" + keyFile, "--tpm2-public-key-pcrs=11", "--tpm2-signature=" + sigFile}},
		{"everything", "4711", []string{"--tpm2-pcrs=7", "--tpm2-with-pin=yes", "--tpm2-public-key=" + keyFile, "--tpm2-public-key-pcrs=11", "--tpm2-signature=" + sigFile}},
	} {
		t.Run(c.name, func(t *testing.T) {
			volume := filepath.Join(t.TempDir(), "volume")
			run("", nil, "truncate", "-s", "32M", volume)
			run("first", nil, "cryptsetup", "luksFormat", "-q", "--type", "luks2", "--pbkdf", "pbkdf2",
				"--pbkdf-force-iterations", "1000", "--key-file", "-", volume)
			emu := swtpm.Start(t)
			err := emu.Lend(func(tcti string) {
				tcti2 := []string{"TPM2TOOLS_TCTI=" + tcti}
				for _, m := range []struct{ pcr, event string }{{"7", "secure boot state"}, {"11", "image"}, {"11", "enter-initrd"}} {
					run("", tcti2, "tpm2_pcrextend", m.pcr+":sha256="+hex.EncodeToString(sha256Sum([]byte(m.event))))
				}
				run("", []string{"PASSWORD=first", "NEWPIN=" + c.pin},
					append([]string{"systemd-cryptenroll", "--tpm2-device=" + tcti, volume}, c.args...)...)
			})
			if err != nil {
				t.Fatal(err)
			}
			var j token
			if err := json.Unmarshal(run("", nil, "cryptsetup", "token", "export", "--token-id", "0", volume), &j); err != nil {
				t.Fatal(err)
			}
			d := open(t, emu)
			boot(t, d)
			secret, err := d.Unseal(context.Background(), j.sealed(t), parsed, []byte(c.pin))
			if err != nil {
				t.Fatalf("%v\n%+v", err, j)
			}
			run(base64.StdEncoding.EncodeToString(secret), nil,
				"cryptsetup", "open", "--test-passphrase", "--key-slot", "1", "--key-file", "-", volume)
			if c.pin != "" {
				var pe *PINError
				if _, err := d.Unseal(context.Background(), j.sealed(t), parsed, []byte("wrong")); !errors.As(err, &pe) {
					t.Errorf("got %v", err)
				}
			}
		})
	}
}
