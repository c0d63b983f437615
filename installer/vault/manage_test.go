package vault

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stek-edge/stek/installer/tpm"
)

func TestAddAndRemoveSlots(t *testing.T) {
	ctx := context.Background()
	m, key := newVolume(t, FormatOptions{Order: []Kind{KindPassphrase}})
	auth := []byte(key.Reveal())
	maintenance := NewKeyFile()
	if _, err := m.AddMaintenance(ctx, auth, maintenance); err != nil {
		t.Fatal(err)
	}
	// From here on the box works with its own key.
	second := NewRecoveryKey()
	if s, err := m.AddRecovery(ctx, maintenance, second); err != nil || s.Kind != KindRecovery {
		t.Fatalf("slot %+v, error %v", s, err)
	}
	stick := NewKeyFile()
	if _, err := m.AddKeyStick(ctx, maintenance, stick); err != nil {
		t.Fatal(err)
	}
	pass, err := m.AddPassphrase(ctx, maintenance, []byte("correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	if pass.KDF != "argon2id" || pass.Memory != 64<<10 {
		t.Errorf("the passphrase's slot: %+v", pass)
	}
	kinds := []Kind{}
	for _, s := range inspect(t, m).Slots {
		kinds = append(kinds, s.Kind)
		if s.Kind != KindPassphrase && s.KDF != "pbkdf2" {
			t.Errorf("slot %d has %s", s.ID, s.KDF)
		}
	}
	if !slices.Equal(kinds, []Kind{KindRecovery, KindMaintenance, KindRecovery, KindKeyStick, KindPassphrase}) {
		t.Errorf("slots %v", kinds)
	}
	for slot, secret := range [][]byte{auth, maintenance, []byte(second.Reveal()), stick, []byte("correct horse")} {
		if got := opens(t, m, secret); got != slot {
			t.Errorf("the secret of slot %d opens slot %d", slot, got)
		}
		// Stock cryptsetup opens each of them too.
		tool(t, secret, "cryptsetup", "open", "--test-passphrase", "--key-file", "-", m.Device)
	}

	if err := m.Remove(ctx, 0, false); err != nil {
		t.Fatal(err)
	}
	if opens(t, m, auth) != -1 {
		t.Error("a removed key still opens the volume")
	}
	if err := m.Remove(ctx, 2, false); !errors.Is(err, ErrLastRecovery) {
		t.Errorf("the last recovery key: %v", err)
	}
	if err := m.Remove(ctx, 7, false); !errors.Is(err, ErrNoSlot) {
		t.Errorf("no such slot: %v", err)
	}
	for _, slot := range []int{3, 4} {
		if err := m.Remove(ctx, slot, false); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Remove(ctx, 2, false); !errors.Is(err, ErrLastSlot) {
		t.Errorf("the last way in, beside a key that lies on the volume: %v", err)
	}
	if err := m.Remove(ctx, 2, true); err != nil {
		t.Fatal(err)
	}
	h := inspect(t, m)
	if len(h.Slots) != 1 || h.Slots[0].Kind != KindMaintenance {
		t.Errorf("left: %+v", h.Slots)
	}
	for _, token := range h.Tokens {
		if token.Unlock == nil && len(token.Slots) == 0 {
			t.Errorf("token %d is left over", token.ID)
		}
	}
}

func TestRefusedInput(t *testing.T) {
	ctx := context.Background()
	m, key := newVolume(t, FormatOptions{})
	auth := []byte(key.Reveal())
	before := inspect(t, m).Sequence
	for name, do := range map[string]func() error{
		"short passphrase":   func() error { _, err := m.AddPassphrase(ctx, auth, []byte("short")); return err },
		"long passphrase":    func() error { _, err := m.AddPassphrase(ctx, auth, bytes.Repeat([]byte("x"), 600)); return err },
		"two lines":          func() error { _, err := m.AddPassphrase(ctx, auth, []byte("two lines\nof it")); return err },
		"short key file":     func() error { _, err := m.AddMaintenance(ctx, auth, []byte("12345678")); return err },
		"empty recovery key": func() error { _, err := m.AddRecovery(ctx, auth, RecoveryKey{}); return err },
		"bound from the go": func() error {
			_, err := m.AddTPM2(ctx, auth, newMemoryTPM(), TPM2Options{State: StateBound})
			return err
		},
		"unknown method":      func() error { return m.SetOrder(ctx, []Kind{"dice"}) },
		"format without key":  func() error { return m.Format(ctx, FormatOptions{}) },
		"format with a null":  func() error { return m.Format(ctx, FormatOptions{Recovery: key, Cipher: "cipher_null-ecb"}) },
		"system with a slash": func() error { _, err := m.AddTPM2(ctx, auth, newMemoryTPM(), TPM2Options{System: "a/b"}); return err },
	} {
		t.Run(name, func(t *testing.T) {
			if err := do(); err == nil {
				t.Error("accepted")
			}
		})
	}
	if after := inspect(t, m).Sequence; after != before {
		t.Errorf("the header was written %d times", after-before)
	}
}

// TestWrongAuthorisation: the slot that was announced is not left behind.
func TestWrongAuthorisation(t *testing.T) {
	ctx := context.Background()
	m, key := newVolume(t, FormatOptions{})
	_, err := m.AddPassphrase(ctx, []byte("certainly not"), []byte("correct horse"))
	if !errors.Is(err, ErrWrongKey) {
		t.Fatalf("error %v", err)
	}
	for _, secret := range []string{"certainly not", "correct horse"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error holds a secret: %v", err)
		}
	}
	if err := m.Tidy(ctx); err != nil {
		t.Fatal(err)
	}
	h := inspect(t, m)
	if u, _ := h.unlockToken(); len(u.Adding) != 0 || len(h.Slots) != 1 {
		t.Errorf("left over: %+v, %d slots", u, len(h.Slots))
	}
	if opens(t, m, []byte(key.Reveal())) != 0 {
		t.Error("the recovery key does not open the volume")
	}
}

// TestSecretsStayOutOfArguments looks at every command that is run.
func TestSecretsStayOutOfArguments(t *testing.T) {
	ctx := context.Background()
	spy := &spyRunner{}
	m, key := newVolume(t, FormatOptions{})
	m.Runner = spy
	auth := []byte(key.Reveal())
	if err := m.Format(ctx, FormatOptions{Recovery: key}); err != nil {
		t.Fatal(err)
	}
	maintenance := NewKeyFile()
	if _, err := m.AddMaintenance(ctx, auth, maintenance); err != nil {
		t.Fatal(err)
	}
	if _, err := m.AddPassphrase(ctx, auth, []byte("correct horse")); err != nil {
		t.Fatal(err)
	}
	dev := newMemoryTPM()
	if _, err := m.AddTPM2(ctx, maintenance, dev, TPM2Options{Policy: tpm.Policy{PIN: true}, PIN: []byte("987654")}); err != nil {
		t.Fatal(err)
	}
	secrets := []string{key.Reveal(), string(maintenance), "correct horse", "987654"}
	for _, secret := range dev.secrets {
		secrets = append(secrets, string(secret), string(passphraseOf(secret)))
	}
	all := strings.Join(spy.args, "\x00")
	for _, secret := range secrets {
		if strings.Contains(all, secret) {
			t.Error("a secret is in the arguments of a command")
		}
	}
	if len(spy.args) < 15 {
		t.Errorf("only %d commands were seen", len(spy.args))
	}
}

// spyRunner records arguments, and cuts the power before a given command.
type spyRunner struct {
	args []string
	left int // commands until the cut; 0: no cut
}

var errPowerCut = errors.New("power cut")

func (s *spyRunner) Run(ctx context.Context, c Command) ([]byte, error) {
	s.args = append(s.args, strings.Join(append([]string{c.Name}, c.Args...), " "))
	if s.left > 0 {
		if s.left--; s.left == 0 {
			s.left = -1
		}
	}
	if s.left < 0 {
		return nil, errPowerCut
	}
	return Exec{}.Run(ctx, c)
}

// copyVolume makes a volume to cut the power of.
func copyVolume(t testing.TB, m *Manager) *Manager {
	t.Helper()
	path := t.TempDir() + "/state.img"
	tool(t, nil, "cp", "--sparse=always", m.Device, path)
	return &Manager{Device: path, Runner: Exec{}}
}

// TestPowerCutWhileAdding cuts before every command of an addition. The volume
// opens by the TPM and by the recovery key at every point, and the next change
// clears up.
func TestPowerCutWhileAdding(t *testing.T) {
	ctx := context.Background()
	base, key := newVolume(t, FormatOptions{Order: []Kind{KindTPM2}})
	auth := []byte(key.Reveal())
	dev := newMemoryTPM()
	if _, err := base.AddTPM2(ctx, auth, dev, TPM2Options{State: StateProvisional}); err != nil {
		t.Fatal(err)
	}
	for cut := 1; ; cut++ {
		m := copyVolume(t, base)
		m.Runner = &spyRunner{left: cut}
		_, err := m.AddTPM2(ctx, auth, dev, TPM2Options{})
		if err == nil {
			if cut < 4 {
				t.Errorf("an addition of %d commands", cut-1)
			}
			break
		}
		if !errors.Is(err, errPowerCut) {
			t.Fatal(err)
		}
		m.Runner = Exec{}
		v, err := inspect(t, m).Unlock(ctx, ByTPM{Unsealer: dev})
		if err != nil {
			t.Fatalf("cut before command %d: %v", cut, err)
		}
		v.Close()
		if opens(t, m, auth) != 0 {
			t.Fatalf("cut before command %d: the recovery key does not open the volume", cut)
		}
		if _, err := m.AddTPM2(ctx, auth, dev, TPM2Options{}); err != nil {
			t.Fatal(err)
		}
		for _, s := range inspect(t, m).Slots {
			if s.Token < 0 {
				t.Errorf("cut before command %d: slot %d has no token", cut, s.ID)
			}
		}
	}
}

// TestPowerCutWhileRemoving is the same for a removal.
func TestPowerCutWhileRemoving(t *testing.T) {
	ctx := context.Background()
	base, key := newVolume(t, FormatOptions{})
	auth := []byte(key.Reveal())
	if _, err := base.AddKeyStick(ctx, auth, NewKeyFile()); err != nil {
		t.Fatal(err)
	}
	for cut := 1; ; cut++ {
		m := copyVolume(t, base)
		m.Runner = &spyRunner{left: cut}
		err := m.Remove(ctx, 1, false)
		if err == nil {
			break
		}
		if !errors.Is(err, errPowerCut) {
			t.Fatal(err)
		}
		m.Runner = Exec{}
		if opens(t, m, auth) != 0 {
			t.Fatalf("cut before command %d: the recovery key does not open the volume", cut)
		}
		if err := m.Tidy(ctx); err != nil {
			t.Fatal(err)
		}
		h := inspect(t, m)
		for _, token := range h.Tokens {
			if token.Type == typeKeyStick && len(token.Slots) == 0 {
				t.Errorf("cut before command %d: token %d is left over", cut, token.ID)
			}
		}
	}
}

// TestSlotsOfOtherToolsStay: a slot that a person added with cryptsetup has no
// token and is not mistaken for one that was cut off.
func TestSlotsOfOtherToolsStay(t *testing.T) {
	ctx := context.Background()
	m, key := newVolume(t, FormatOptions{})
	auth := []byte(key.Reveal())
	if err := m.cryptsetup().addKey(ctx, auth, []byte("by hand"), 5, fastKDF); err != nil {
		t.Fatal(err)
	}
	if err := m.Tidy(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := m.AddKeyStick(ctx, auth, NewKeyFile()); err != nil {
		t.Fatal(err)
	}
	if got := opens(t, m, []byte("by hand")); got != 5 {
		t.Errorf("opens slot %d", got)
	}
	v, err := inspect(t, m).Unlock(ctx, ByTyping{Ask: answers("by hand"), Tries: 1})
	if err != nil {
		t.Fatal(err)
	}
	v.Close()
}

// TestUnlockTokenLost: generations and order survive as well as they can.
func TestUnlockTokenLost(t *testing.T) {
	ctx := context.Background()
	m, key := newVolume(t, FormatOptions{Order: []Kind{KindTPM2}})
	auth := []byte(key.Reveal())
	dev := newMemoryTPM()
	for range 2 {
		if _, err := m.AddTPM2(ctx, auth, dev, TPM2Options{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.cryptsetup().removeToken(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if got := inspect(t, m).Order(); !slices.Equal(got, []Kind{KindTPM2}) {
		t.Errorf("order %v", got)
	}
	s, err := m.AddTPM2(ctx, auth, dev, TPM2Options{})
	if err != nil || s.Generation != 3 {
		t.Errorf("slot %+v, error %v", s, err)
	}
	if err := m.SetOrder(ctx, []Kind{KindPassphrase, KindTPM2}); err != nil {
		t.Fatal(err)
	}
	if got := inspect(t, m).Order(); !slices.Equal(got, []Kind{KindPassphrase, KindTPM2}) {
		t.Errorf("order %v", got)
	}
}

func TestExec(t *testing.T) {
	ctx := context.Background()
	out, err := Exec{}.Run(ctx, Command{Name: "sh", Args: []string{"-c", "cat; cat /proc/self/fd/3 /proc/self/fd/4"}, Stdin: []byte("a"), Files: [][]byte{[]byte("b"), []byte("c")}})
	if err != nil || string(out) != "abc" {
		t.Errorf("%q, %v", out, err)
	}
	_, err = Exec{}.Run(ctx, Command{Name: "sh", Args: []string{"-c", "echo no good >&2; exit 7"}})
	var exit *ExitError
	if !errors.As(err, &exit) || exit.Code != 7 || exit.Message != "no good" {
		t.Errorf("error %v", err)
	}
	if _, err = (Exec{}).Run(ctx, Command{Name: "/no/such/program"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	stopped, cancel := context.WithCancel(ctx)
	cancel()
	if _, err = (Exec{}).Run(stopped, Command{Name: "sleep", Args: []string{"9"}}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if _, err = (Exec{}).Run(ctx, Command{Name: "true", Files: [][]byte{make([]byte, 1<<20)}}); err == nil {
		t.Error("a file larger than a pipe was taken")
	}
}
