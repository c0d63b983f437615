package stage1

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/stek-edge/stek/installer/console"
	"github.com/stek-edge/stek/installer/tpm"
	"github.com/stek-edge/stek/installer/vault"
	"github.com/stek-edge/stek/test/swtpm"
)

// person sits at the console of a box: answers questions and reads the screen.
type person struct {
	mu     sync.Mutex
	screen bytes.Buffer
}

// seat gives a console with a person at it who types the answers, one for each question.
func seat(t *testing.T, answers ...string) (*console.Consoles, *person) {
	t.Helper()
	terminal, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close(); terminal.Close() })
	p := &person{}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := terminal.Read(buf)
			if err != nil {
				return
			}
			p.mu.Lock()
			p.screen.Write(buf[:n])
			p.mu.Unlock()
			if bytes.HasSuffix(buf[:n], []byte(": ")) && len(answers) > 0 {
				_, _ = terminal.WriteString(answers[0] + "\r")
				answers = answers[1:]
			}
		}
	}()
	return console.On(tty), p
}

// sees waits until the terminal has shown the text.
func (p *person) sees(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(p.shown(), text); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("the screen does not say %q:\n%s", text, p.shown())
			return
		}
	}
}

func (p *person) shown() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.ReplaceAll(p.screen.String(), "\r", "")
}

// newVolume makes a volume in an image file.
func newVolume(t *testing.T, order ...vault.Kind) (*vault.Manager, vault.RecoveryKey) {
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
	if err := m.Format(t.Context(), vault.FormatOptions{Recovery: key, Order: order}); err != nil {
		t.Fatal(err)
	}
	return m, key
}

// enrolled gives a volume a key slot for a new TPM.
func enrolled(t *testing.T, m *vault.Manager, key vault.RecoveryKey) *swtpm.TPM {
	t.Helper()
	return enrolledWith(t, m, key, "")
}

// enrolledWith is enrolled with a PIN, if there is one.
func enrolledWith(t *testing.T, m *vault.Manager, key vault.RecoveryKey, pin string) *swtpm.TPM {
	t.Helper()
	emu := swtpm.Start(t)
	chip, err := tpm.Open("swtpm:" + emu.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer chip.Close()
	firmware := tpm.PCRs{7: tpm.ReplayPCR(nil, []byte("firmware"))}
	if _, err := m.AddTPM2(t.Context(), []byte(key.Reveal()), chip, vault.TPM2Options{Policy: tpm.Policy{Literal: firmware, PIN: pin != ""}, PIN: []byte(pin)}); err != nil {
		t.Fatal(err)
	}
	return emu
}

// TestNoBankLeavesThePersonAWay: a TPM whose SHA-256 bank was switched off in the
// firmware settings must not keep a box from asking for its recovery key.
func TestNoBankLeavesThePersonAWay(t *testing.T) {
	m, key := newVolume(t, vault.KindTPM2)
	emu := enrolled(t, m, key)
	if err := emu.Lend(func(tcti string) {
		cmd := exec.Command("tpm2_pcrallocate", "sha1:all+sha256:none+sha384:none+sha512:none")
		cmd.Env = append(os.Environ(), "TPM2TOOLS_TCTI="+tcti)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}); err != nil {
		t.Fatal(err)
	}
	chip, err := tpm.Open("swtpm:" + emu.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer chip.Close()

	screen, p := seat(t, key.Reveal())
	s, found := machine(t, emu)
	s.console, s.chip, s.disk = screen, chip, bootDisk{State: m.Device}
	*found = []string{s.device}
	err = s.prepareState(t.Context())
	p.sees(t, "stek: - tpm2 (slot 1): the TPM keeps no SHA-256 PCRs (active: sha1)\n"+
		"stek:   switch the SHA-256 PCR bank on in the firmware settings (often below Security, TPM)\n")
	p.sees(t, "stek: volume opened by recovery (slot 0)\n")
	var noBank *tpm.NoBankError
	if errors.As(err, &noBank) {
		t.Errorf("the box gave up: %v", err)
	}
}

// brokenChip answers every command as a TPM in failure mode does: tag, size,
// TPM_RC_FAILURE.
type brokenChip struct{}

func (brokenChip) Send([]byte) ([]byte, error) {
	return []byte{0x80, 0x01, 0, 0, 0, 10, 0, 0, 0x01, 0x01}, nil
}

func (brokenChip) Close() error { return nil }

// TestFailedTPMLeavesThePersonAWay: a TPM that is out of order is one more reason to ask
// for the recovery key.
func TestFailedTPMLeavesThePersonAWay(t *testing.T) {
	m, key := newVolume(t, vault.KindTPM2)
	enrolled(t, m, key)
	screen, p := seat(t, key.Reveal())
	s, found := machine(t)
	s.console, s.disk = screen, bootDisk{State: m.Device}
	*found = []string{s.device}
	s.open = func(string) (*tpm.Device, error) { return tpm.New(brokenChip{}), nil }
	if err := s.enter(t.Context(), tpm.New(brokenChip{})); err != nil {
		t.Fatal(err)
	}
	_ = s.prepareState(t.Context()) // ends where a kernel would map the volume
	p.sees(t, "stek: - tpm2 (slot 1): the TPM reports that it has failed: TPM_RC_FAILURE: commands not being accepted because of a TPM failure\n"+
		"stek:   switch the box off, take the power away for a minute, and try again; if it stays, use the recovery key and have the board replaced\n")
	p.sees(t, "stek: volume opened by recovery (slot 0)\n")
	if err := s.capPCRs(t.Context()); err != nil {
		t.Errorf("the box does not start: %v", err)
	}
	if !s.closed[s.device] || s.chip != nil {
		t.Error("a chip that gives nothing to anybody counts as open")
	}
}

// TestNobodyIsAskedForAPINWithoutATPM: it could open nothing, and a box at which nobody sits
// would wait for it before it says what is wrong.
func TestNobodyIsAskedForAPINWithoutATPM(t *testing.T) {
	m, key := newVolume(t, vault.KindTPM2)
	enrolledWith(t, m, key, "246810")
	screen, p := seat(t, key.Reveal())
	s, _ := machine(t)
	s.console, s.disk = screen, bootDisk{State: m.Device}
	_ = s.prepareState(t.Context()) // ends where a kernel would map the volume
	p.sees(t, "stek: - tpm2 (slot 1): no TPM at /dev/tpmrm0: file does not exist\n")
	p.sees(t, "stek: volume opened by recovery (slot 0)\n")
	if strings.Contains(p.shown(), "PIN") {
		t.Errorf("the screen asks for a PIN:\n%s", p.shown())
	}
}

// TestSecretsKeepTheirSpaces: what was set with spaces at its ends is typed with them.
func TestSecretsKeepTheirSpaces(t *testing.T) {
	m, key := newVolume(t, vault.KindPassphrase)
	const passphrase = "  tomatoes in hall 7 "
	if _, err := m.AddPassphrase(t.Context(), []byte(key.Reveal()), []byte(passphrase)); err != nil {
		t.Fatal(err)
	}
	h, err := vault.Inspect(m.Device)
	if err != nil {
		t.Fatal(err)
	}
	screen, _ := seat(t, passphrase)
	s := &stage1{console: screen}
	ask := vault.ByTyping{Ask: s.asker("Passphrase, or recovery key:"), Tries: 1}
	volume, err := h.Unlock(context.Background(), ask)
	if err != nil {
		t.Fatal(err)
	}
	volume.Close()
}

// TestWhyNot: a start that ends says what to do, where that is known.
func TestWhyNot(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"another volume in its place", &vault.SwappedError{UUID: "0b6f9c2e-63a2-4a5c-8f0f-1c2d3e4f5a6b"}, `
This machine cannot start: the encrypted volume (0b6f9c2e-63a2-4a5c-8f0f-1c2d3e4f5a6b) is not the one this box was installed with
What to do: if the disk was exchanged or installed anew on purpose, install stek again with this box's TPM; otherwise keep the box switched off and look at the disk: somebody may have replaced it
It restarts in 1m0s and tries again. Nothing on its disks was changed.`},
		{"nothing known", errors.New("out of memory"), `
This machine cannot start: out of memory
It restarts in 1m0s and tries again. Nothing on its disks was changed.`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := whyNot(c.err); got != c.want {
				t.Errorf("got %s\nwant %s", got, c.want)
			}
		})
	}
}
