package interop

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"filippo.io/age"

	"github.com/stek-edge/stek/installer/tpm"
	"github.com/stek-edge/stek/installer/vault"
	"github.com/stek-edge/stek/test/swtpm"
)

// What a start measures, as words in place of programs.
var events = []struct {
	pcr  int
	word string
}{{4, "boot loader and kernel"}, {7, "secure boot, own keys"}, {11, "UKI"}, {11, "enter-initrd"}}

// pin is the PIN of the keys that have one.
const pin = "kas 7 ß"

// signer signs the PCR 11 of images.
var signer = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// signatures is the file that the image carries.
func signatures(t *testing.T) *tpm.SignatureFile {
	t.Helper()
	f := &tpm.SignatureFile{}
	if err := f.Sign(signer(), tpm.PCRs{11: tpm.ReplayPCR(nil, []byte("UKI"), []byte("enter-initrd"))}); err != nil {
		t.Fatal(err)
	}
	return f
}

// box is a volume and a TPM, in a folder of their own.
type box struct {
	t           *testing.T
	dir         string
	emu         *swtpm.TPM
	volume      *vault.Manager
	recovery    vault.RecoveryKey
	maintenance []byte
}

func newBox(t *testing.T) *box {
	t.Helper()
	// Not t.TempDir: a comma in a test's name is the end of an option to swtpm.
	dir, err := os.MkdirTemp("", "stek-interop-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	b := &box{t: t, dir: dir, emu: swtpm.StartIn(t, filepath.Join(dir, "tpm")),
		volume:   &vault.Manager{Device: filepath.Join(dir, "state.img")},
		recovery: vault.NewRecoveryKey(), maintenance: vault.NewKeyFile()}
	f, err := os.Create(b.volume.Device)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(32<<20), f.Close()); err != nil {
		t.Fatal(err)
	}
	o := vault.FormatOptions{Recovery: b.recovery, Order: []vault.Kind{vault.KindTPM2}}
	if err := b.volume.Format(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if _, err := b.volume.AddMaintenance(t.Context(), []byte(b.recovery.Reveal()), b.maintenance); err != nil {
		t.Fatal(err)
	}
	b.file("key", b.maintenance)
	der, err := x509.MarshalPKIXPublicKey(&signer().PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	b.file("signer.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	signed, err := json.Marshal(signatures(t))
	if err != nil {
		t.Fatal(err)
	}
	b.file("signatures.json", signed)
	return b
}

// file writes a file beside the volume.
func (b *box) file(name string, content []byte) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, name), content, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// backUp writes the header's backup beside the volume, as it lies on the boot partition,
// and the office's key.
func (b *box) backUp() {
	b.t.Helper()
	office, err := age.GenerateX25519Identity()
	if err != nil {
		b.t.Fatal(err)
	}
	b.file("office.key", []byte(office.String()+"\n"))
	if err := b.volume.BackupHeader(b.t.Context(), filepath.Join(b.dir, "header-backup.age"), office.Recipient(), nil); err != nil {
		b.t.Fatal(err)
	}
}

func (b *box) header() *vault.Header {
	b.t.Helper()
	h, err := vault.Inspect(b.volume.Device)
	if err != nil {
		b.t.Fatal(err)
	}
	return h
}

// start gives the TPM as a start leaves it while the disk may be opened.
func (b *box) start() *tpm.Device {
	b.t.Helper()
	if err := b.emu.Reset(); err != nil {
		b.t.Fatal(err)
	}
	chip, err := tpm.Open("swtpm:" + b.emu.Socket)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { chip.Close() })
	for _, e := range events {
		if err := chip.Extend(b.t.Context(), e.pcr, []byte(e.word)); err != nil {
			b.t.Fatal(err)
		}
	}
	return chip
}

// enrolment is one kind of key, as both sides make it.
type enrolment struct {
	name   string
	policy func(seen tpm.PCRs) tpm.Policy // as stek does
	stock  []string                       // options of systemd-cryptenroll; files by their name beside the volume
	pin    bool
}

var enrolments = []enrolment{
	{"PCR", func(seen tpm.PCRs) tpm.Policy { p, _ := vault.FinalPolicy(seen, false, nil); return p },
		[]string{"--tpm2-pcrs=4+7+11"}, false},
	{"PIN", func(seen tpm.PCRs) tpm.Policy { return tpm.Policy{Literal: tpm.PCRs{7: seen[7]}, PIN: true} },
		[]string{"--tpm2-pcrs=7", "--tpm2-with-pin=yes"}, true},
	{"signed policy", func(seen tpm.PCRs) tpm.Policy { return vault.SignedPolicy(&signer().PublicKey, seen[7]) },
		[]string{"--tpm2-pcrs=7", "--tpm2-public-key=signer.pem", "--tpm2-public-key-pcrs=11", "--tpm2-signature=signatures.json"}, false},
	{"signed policy and PIN", func(seen tpm.PCRs) tpm.Policy {
		p := vault.SignedPolicy(&signer().PublicKey, seen[7])
		p.PIN = true
		return p
	}, []string{"--tpm2-pcrs=7", "--tpm2-with-pin=yes", "--tpm2-public-key=signer.pem", "--tpm2-public-key-pcrs=11", "--tpm2-signature=signatures.json"}, true},
}

// stockWords is the call of systemd-cryptenroll in the box's folder.
func (e enrolment) stockWords(tcti string) []string {
	return append([]string{"systemd-cryptenroll", "--unlock-key-file=key", "--tpm2-device=" + tcti}, append(e.stock, "state.img")...)
}

// measure is what brings a TPM behind a TCTI to the state of a start, as commands of
// tpm2-tools.
func measure() (commands [][]string) {
	for _, e := range events {
		commands = append(commands, []string{"tpm2_pcrextend", fmt.Sprintf("%d:sha256=%x", e.pcr, sha256.Sum256([]byte(e.word)))})
	}
	return commands
}

// runner runs programs of one system in the box's folder and returns standard output.
type runner func(t *testing.T, dir string, stdin []byte, env []string, words ...string) (string, error)

// host runs programs of this machine.
func host(_ *testing.T, dir string, stdin []byte, env []string, words ...string) (string, error) {
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir, cmd.Stdin, cmd.Env = dir, bytes.NewReader(stdin), append(os.Environ(), env...)
	return output(cmd)
}

func output(cmd *exec.Cmd) (string, error) {
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("%s: %w\n%s%s", strings.Join(cmd.Args, " "), err, out, stderr.String())
	}
	return string(out), nil
}

// opensStock enrols the box by systemd-cryptenroll and opens it as stage1 does.
func opensStock(t *testing.T, e enrolment, run runner) {
	b := newBox(t)
	err := b.emu.Lend(func(tcti string) {
		env := []string{"TPM2TOOLS_TCTI=" + tcti, "NEWPIN=" + pin}
		for _, words := range append(measure(), e.stockWords(tcti)) {
			if _, err := run(t, b.dir, nil, env, words...); err != nil {
				t.Fatal(err)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	m := vault.ByTPM{Unsealer: b.start(), Signature: signatures(t), PIN: func(context.Context, int) ([]byte, error) { return []byte(pin), nil }}
	v, err := b.header().Unlock(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if v.Slot.Kind != vault.KindTPM2 || v.Slot.ID != 2 || v.Slot.PIN != e.pin || v.Slot.State != "" {
		t.Errorf("opened by %+v", v.Slot)
	}
	// The box leaves a slot alone that it did not make.
	left, err := b.volume.Settle(t.Context(), v.OpenedBy("a"), nil)
	if err != nil || len(left) != 0 || b.header().Slot(2) == nil {
		t.Errorf("settling left %v, %v", left, err)
	}
}

// enrol makes a key as the project does.
func (b *box) enrol(e enrolment) {
	b.t.Helper()
	chip := b.start()
	seen, err := chip.ReadPCRs(b.t.Context(), vault.BoundPCRs...)
	if err != nil {
		b.t.Fatal(err)
	}
	o := vault.TPM2Options{Policy: e.policy(seen)}
	if e.pin {
		o.PIN = []byte(pin)
	}
	if _, err := b.volume.AddTPM2(b.t.Context(), b.maintenance, chip, o); err != nil {
		b.t.Fatal(err)
	}
	chip.Close()
}
