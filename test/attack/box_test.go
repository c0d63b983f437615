package attack

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stek-edge/stek/installer/tpm"
	"github.com/stek-edge/stek/installer/vault"
	"github.com/stek-edge/stek/test/swtpm"
)

// The slots of a box that was just installed.
const (
	recoverySlot    = 0
	maintenanceSlot = 1
	tpmSlot         = 2
)

// chain is what gets measured at a start, as short words in place of programs.
type chain struct {
	firmware string          // PCR 7: Secure Boot's state, keys and who signed what was started
	loader   string          // PCR 4: boot loader and kernel, as loaded from this very disk
	image    string          // PCR 11: the sections of the UKI, by systemd-stub
	outside  string          // PCR 12: a command line or credentials from outside the UKI
	signer   *rsa.PrivateKey // of the image's PCR 11; nil is builderKey
}

// genuine is the start of a box as it was installed.
var genuine = chain{firmware: "secure boot, own keys", loader: "from the disk", image: "UKI"}

func (c chain) with(change func(*chain)) chain { change(&c); return c }

// signatures is the file that the image carries: the builder signed the one value of
// PCR 11 that this image has while stage1 runs.
func (c chain) signatures(t *testing.T) *tpm.SignatureFile {
	t.Helper()
	f := &tpm.SignatureFile{}
	if err := f.Sign(c.key(), tpm.PCRs{11: tpm.ReplayPCR(nil, []byte(c.image), []byte("enter-initrd"))}); err != nil {
		t.Fatal(err)
	}
	return f
}

func (c chain) key() *rsa.PrivateKey {
	if c.signer == nil {
		return builderKey()
	}
	return c.signer
}

var (
	builderKey = sync.OnceValue(newKey)
	// nextKey is the builder's key of the next security epoch.
	nextKey = sync.OnceValue(newKey)
)

func newKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

// sealing makes the policy of a key from what stage1 saw at a genuine start.
type sealing func(t *testing.T, seen tpm.PCRs) tpm.Policy

// signedPolicy is that of a box with Secure Boot.
func signedPolicy(_ *testing.T, seen tpm.PCRs) tpm.Policy { return signedBy(builderKey(), seen) }

func signedBy(key *rsa.PrivateKey, seen tpm.PCRs) tpm.Policy {
	return vault.SignedPolicy(&key.PublicKey, seen[7])
}

// finalPolicy is that of a box without Secure Boot.
func finalPolicy(t *testing.T, seen tpm.PCRs) tpm.Policy {
	t.Helper()
	p, err := vault.FinalPolicy(seen, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// box is a box with one encrypted volume, and a TPM whose state outlives each start.
type box struct {
	t           *testing.T
	emu         *swtpm.TPM
	chip        *tpm.Device // nil while the box is off
	volume      *vault.Manager
	recovery    vault.RecoveryKey
	maintenance []byte
	identity    []byte // of the volume, as kept in the TPM
	pin         string // typed at each start; empty: nobody types
}

// installed gives a box whose key is sealed by signedPolicy or finalPolicy, switched off.
// All of them are copies of one: its disk, and the memory of its TPM.
func installed(t *testing.T, policy sealing) *box {
	t.Helper()
	templates.Do(func() { templates.bare = bare(t).keep(t, "bare") })
	return templates.bare.copy(t).sealed(policy)
}

// freshlyInstalled is a box with a TPM, a volume and keys of its own.
func freshlyInstalled(t *testing.T, policy sealing) *box {
	t.Helper()
	return bare(t).sealed(policy)
}

func (b *box) sealed(policy sealing) *box {
	b.t.Helper()
	b.seal(policy, vault.TPM2Options{State: vault.StateProvisional})
	return b
}

// templates are boxes that tests copy instead of installing them again.
var templates struct {
	sync.Once
	bare *box
	dir  string
}

func TestMain(m *testing.M) {
	var err error
	if templates.dir, err = os.MkdirTemp("", "stek-attack-"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(templates.dir)
	os.Exit(code)
}

// keep copies a box that is off to a place that outlives its test.
func (b *box) keep(t *testing.T, name string) *box {
	t.Helper()
	dir := filepath.Join(templates.dir, name)
	if err := os.MkdirAll(filepath.Join(dir, "tpm"), 0o700); err != nil {
		t.Fatal(err)
	}
	kept := *b
	kept.volume = &vault.Manager{Device: filepath.Join(dir, "state.img")}
	copyFiles(t, map[string]string{
		b.volume.Device: kept.volume.Device,
		filepath.Join(b.emu.StateDir, "tpm2-00.permall"): filepath.Join(dir, "tpm", "tpm2-00.permall"),
	})
	return &kept
}

// copy gives a box with the same disk and the same TPM, for a test of its own.
func (b *box) copy(t *testing.T) *box {
	t.Helper()
	// Not t.TempDir: test names hold commas, which swtpm takes for the end of an option.
	dir, err := os.MkdirTemp(templates.dir, "box-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	copied := *b
	copied.t, copied.volume = t, &vault.Manager{Device: filepath.Join(dir, "state.img")}
	if err := os.Mkdir(filepath.Join(dir, "tpm"), 0o700); err != nil {
		t.Fatal(err)
	}
	copyFiles(t, map[string]string{
		b.volume.Device: copied.volume.Device,
		filepath.Join(filepath.Dir(b.volume.Device), "tpm", "tpm2-00.permall"): filepath.Join(dir, "tpm", "tpm2-00.permall"),
	})
	copied.emu = swtpm.StartIn(t, filepath.Join(dir, "tpm"))
	return &copied
}

func copyFiles(t *testing.T, names map[string]string) {
	t.Helper()
	for from, to := range names {
		if out, err := exec.Command("cp", "--sparse=always", from, to).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
}

// bare is a box without a TPM slot, whose TPM knows its volume.
func bare(t *testing.T) *box {
	t.Helper()
	b := &box{t: t, emu: swtpm.Start(t), maintenance: vault.NewKeyFile()}
	b.volume, b.recovery = newVolume(t, "")
	if _, err := b.volume.AddMaintenance(t.Context(), b.key(), b.maintenance); err != nil {
		t.Fatal(err)
	}
	b.powerOn(genuine)
	v := b.open(b.recovery)
	id, err := v.Identity(crypto.SHA256)
	v.Close()
	if err != nil {
		t.Fatal(err)
	}
	b.identity = id[crypto.SHA256]
	if err := b.chip.WriteIdentity(t.Context(), tpm.IdentityIndex, b.identity); err != nil {
		t.Fatal(err)
	}
	b.powerOff()
	return b
}

// newVolume makes a volume in an image file, with a given UUID or a random one.
func newVolume(t *testing.T, uuid string) (*vault.Manager, vault.RecoveryKey) {
	t.Helper()
	m := &vault.Manager{Device: filepath.Join(t.TempDir(), "state.img")}
	f, err := os.Create(m.Device)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(18<<20), f.Close()); err != nil {
		t.Fatal(err)
	}
	key := vault.NewRecoveryKey()
	o := vault.FormatOptions{Recovery: key, UUID: uuid, Order: []vault.Kind{vault.KindTPM2}}
	if err := m.Format(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	return m, key
}

// seal adds a key with the values of a genuine start.
func (b *box) seal(policy sealing, o vault.TPM2Options) *vault.Slot {
	b.t.Helper()
	b.powerOn(genuine)
	defer b.powerOff()
	b.measure(11, "enter-initrd")
	pin := o.Policy.PIN
	o.Policy = policy(b.t, b.read(vault.BoundPCRs...))
	o.Policy.PIN = pin
	s, err := b.volume.AddTPM2(b.t.Context(), b.maintenance, b.chip, o)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

func (b *box) key() []byte { return []byte(b.recovery.Reveal()) }

// uuid of the volume.
func (b *box) uuid() string { return b.header().UUID }

func (b *box) header() *vault.Header {
	b.t.Helper()
	h, err := vault.Inspect(b.volume.Device)
	if err != nil {
		b.t.Fatal(err)
	}
	return h
}

// powerOn gives the TPM its power and measures what runs before stage1.
func (b *box) powerOn(c chain) {
	b.t.Helper()
	if err := b.emu.Reset(); err != nil {
		b.t.Fatal(err)
	}
	b.connect()
	b.measure(4, c.loader)
	b.measure(7, c.firmware)
	b.measure(11, c.image)
	if c.outside != "" {
		b.measure(12, c.outside)
	}
}

// connect opens the TPM as it is.
func (b *box) connect() {
	b.t.Helper()
	chip, err := tpm.Open("swtpm:" + b.emu.Socket)
	if err != nil {
		b.t.Fatalf("%v\n%s", err, b.emu.Log())
	}
	b.chip = chip
}

func (b *box) powerOff() {
	if b.chip != nil {
		b.chip.Close()
		b.chip = nil
	}
}

func (b *box) measure(pcr int, event string) {
	b.t.Helper()
	if err := b.chip.Extend(b.t.Context(), pcr, []byte(event)); err != nil {
		b.t.Fatal(err)
	}
}

func (b *box) read(pcrs ...int) tpm.PCRs {
	b.t.Helper()
	now, err := b.chip.ReadPCRs(b.t.Context(), pcrs...)
	if err != nil {
		b.t.Fatal(err)
	}
	return now
}

// tools runs commands of tpm2-tools on the TPM, while the box is off. Words are
// separated by spaces.
func (b *box) tools(commands ...string) {
	b.t.Helper()
	dir := b.t.TempDir()
	err := b.emu.Lend(func(tcti string) {
		for _, c := range commands {
			words := strings.Fields(c)
			cmd := exec.Command(words[0], words[1:]...)
			cmd.Dir, cmd.Env = dir, append(os.Environ(), "TPM2TOOLS_TCTI="+tcti)
			if out, err := cmd.CombinedOutput(); err != nil {
				b.t.Fatalf("%s: %v\n%s", c, err, out)
			}
		}
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// lockout is the TPM's counter of wrong tries.
func (b *box) lockout() tpm.Lockout {
	b.t.Helper()
	b.connect()
	defer b.powerOff()
	l, err := b.chip.Lockout(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return l
}

// open opens the volume with a recovery key, wherever it is.
func (b *box) open(key vault.RecoveryKey) *vault.Volume {
	b.t.Helper()
	v, err := b.header().Unlock(b.t.Context(), typing(key.Reveal()))
	if err != nil {
		b.t.Fatalf("the recovery key does not open the disk: %v", err)
	}
	return v
}

// typing is a person who types these answers and then goes away.
func typing(answers ...string) vault.ByTyping {
	return vault.ByTyping{Ask: answering(answers...), Tries: len(answers)}
}

func answering(answers ...string) vault.Ask {
	return func(_ context.Context, try int) ([]byte, error) {
		if try >= len(answers) {
			return nil, vault.ErrGivenUp
		}
		return []byte(answers[try]), nil
	}
}

// cryptsetup runs stock cryptsetup.
func cryptsetup(t *testing.T, stdin []byte, args ...string) string {
	t.Helper()
	cmd := exec.Command("cryptsetup", args...)
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("cryptsetup %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// same compares lines of a screen, word by word.
func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant:\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
