package powercut_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stek-edge/stek/installer/tpm"
	"github.com/stek-edge/stek/installer/vault"
	"github.com/stek-edge/stek/test/loopbox"
	"github.com/stek-edge/stek/test/powercut"
	"github.com/stek-edge/stek/test/swtpm"
)

// phase is one change of the keys, and what must open the volume at every moment of it.
type phase struct {
	name string
	do   func() error
	keys []string // secrets that open
	tpm  bool     // the TPM opens
}

// TestKeys cuts the power at every write while the keys of a volume are made and
// changed, with stock cryptsetup on a block device and a real TPM's emulator: at no
// moment is a way in lost that was promised, and what was cut off is ended by the
// next start.
func TestKeys(t *testing.T) {
	ctx := t.Context()
	rec := record(t, powercut.Disk{Name: "state", Size: 18 << 20})
	node, detach := loop(t, rec.Path("state"))
	emu := swtpm.Start(t)
	chip, err := tpm.Open("swtpm:" + emu.Socket)
	must(t, err)
	defer chip.Close()
	must(t, chip.Extend(ctx, 7, []byte("firmware")))
	pcrs, err := chip.ReadPCRs(ctx, 7)
	must(t, err)

	m := &vault.Manager{Device: node}
	first, second := vault.NewRecoveryKey(), vault.NewRecoveryKey()
	secrets := map[string][]byte{
		"first recovery key": []byte(first.Reveal()), "second recovery key": []byte(second.Reveal()),
		"maintenance key": vault.NewKeyFile(), "passphrase": []byte("correct horse"),
	}
	seal := func(state vault.State) func() error {
		return func() error {
			_, err := m.AddTPM2(ctx, secrets["maintenance key"], chip, vault.TPM2Options{Policy: tpm.Policy{Literal: pcrs}, State: state})
			return err
		}
	}
	// settle does what a start of the box does: it is opened by the TPM, and the slots
	// are looked after.
	settle := func() error { return settled(ctx, m, chip, seal(vault.StateCandidate)) }
	remove := func(secret string) func() error {
		return func() error {
			slot, err := opens(ctx, node, vault.ByKey(secrets[secret]))
			if err != nil {
				return err
			}
			return m.Remove(ctx, slot, false)
		}
	}
	own := []string{"first recovery key", "maintenance key"}
	changed := []string{"second recovery key", "maintenance key"}
	phases := []phase{
		{name: "format", do: func() error {
			return m.Format(ctx, vault.FormatOptions{Recovery: first, Label: unfinishedLabel, Order: []vault.Kind{vault.KindTPM2}})
		}},
		{name: "maintenance key", keys: own[:1], do: func() error {
			_, err := m.AddMaintenance(ctx, secrets["first recovery key"], secrets["maintenance key"])
			return err
		}},
		{name: "TPM, for the first start", keys: own, do: seal(vault.StateProvisional)},
		{name: "installed", keys: own, tpm: true, do: func() error { return m.SetLabel(ctx, vault.Label) }},
		{name: "first start", keys: own, tpm: true, do: settle},
		{name: "second start", keys: own, tpm: true, do: settle},
		{name: "third start", keys: own, tpm: true, do: settle},
		{name: "resealed", keys: own, tpm: true, do: seal(vault.StateCandidate)},
		{name: "start after that", keys: own, tpm: true, do: settle},
		{name: "new recovery key", keys: own, tpm: true, do: func() error {
			_, err := m.AddRecovery(ctx, secrets["maintenance key"], second)
			return err
		}},
		{name: "old recovery key removed", keys: changed, tpm: true, do: remove("first recovery key")},
		{name: "passphrase", keys: changed, tpm: true, do: func() error {
			_, err := m.AddPassphrase(ctx, secrets["maintenance key"], secrets["passphrase"])
			return err
		}},
		{name: "other order", keys: append(changed[:2:2], "passphrase"), tpm: true, do: func() error {
			return m.SetOrder(ctx, []vault.Kind{vault.KindPassphrase, vault.KindTPM2})
		}},
		{name: "passphrase removed", keys: changed, tpm: true, do: remove("passphrase")},
		{name: "done", keys: changed, tpm: true, do: func() error { return nil }},
	}
	byName := map[string]phase{}
	for _, p := range phases {
		byName[p.name] = p
		must(t, rec.Mark(p.name))
		if err := p.do(); err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		loopbox.Tool(t, "blockdev", "--flushbufs", node)
	}
	detach()

	ended, checked := 0, 0
	o := options(t, 0.12)
	stats, err := rec.Log().Replay(o, func(s *powercut.State) error {
		p := byName[s.Phase]
		if p.keys == nil {
			return unfinished(s.Path("state"))
		}
		if err := waysIn(ctx, s.Path("state"), p, secrets, chip); err != nil {
			return err
		}
		if checked++; checked%20 != 0 {
			return nil
		}
		ended++
		return endsWell(ctx, t, s, p, secrets, chip)
	})
	if err != nil {
		t.Error(err)
	}
	enough(t, stats, o, 1000)
	if ended == 0 {
		t.Error("none was taken up again")
	}
	t.Logf("%d writes, %d flushes, %d states, %d checked, %d of them taken up again", stats.Writes, stats.Flushes, stats.States, stats.Checked, ended)
}

// unfinished tells whether a volume that is being made cannot be taken for a finished
// one: by its label, or because it is none.
func unfinished(path string) error {
	h, err := vault.Inspect(path)
	if errors.Is(err, vault.ErrNotLUKS) || errors.Is(err, vault.ErrDamaged) || errors.Is(err, vault.ErrRefused) {
		return nil // nothing, a part, or a header without any slot yet
	}
	if err != nil {
		return err
	}
	if h.Label == vault.Label {
		return errors.New("a volume that is being made has the label of a finished one")
	}
	return nil
}

// waysIn tries everything that must open a volume.
func waysIn(ctx context.Context, path string, p phase, secrets map[string][]byte, chip *tpm.Device) error {
	for _, name := range p.keys {
		if _, err := opens(ctx, path, vault.ByKey(secrets[name])); err != nil {
			return fmt.Errorf("the %s does not open the volume: %w", name, err)
		}
	}
	if p.tpm {
		if _, err := opens(ctx, path, vault.ByTPM{Unsealer: chip}); err != nil {
			return fmt.Errorf("the TPM does not open the volume: %w", err)
		}
	}
	return nil
}

func opens(ctx context.Context, path string, by vault.Method) (slot int, err error) {
	h, err := vault.Inspect(path)
	if err != nil {
		return -1, err
	}
	v, err := h.Unlock(ctx, by)
	if err != nil {
		return -1, err
	}
	defer v.Close()
	return v.Slot.ID, nil
}

// settled does what a start does: the TPM opens the volume, its slots are looked
// after, and a new one is sealed where that is due.
func settled(ctx context.Context, m *vault.Manager, chip *tpm.Device, enrol func() error) error {
	h, err := vault.Inspect(m.Device)
	if err != nil {
		return err
	}
	v, err := h.Unlock(ctx, vault.ByTPM{Unsealer: chip})
	if err != nil {
		return err
	}
	defer v.Close()
	left, err := m.Settle(ctx, v.OpenedBy("a"), nil)
	if err != nil || len(left) == 0 {
		return err
	}
	return enrol()
}

// endsWell lets the next starts happen on a copy, and looks whether everything that
// was cut off is ended: both header copies are good, every slot has its token and every
// token its slot, and what opened before still does.
func endsWell(ctx context.Context, t *testing.T, s *powercut.State, p phase, secrets map[string][]byte, chip *tpm.Device) error {
	m := &vault.Manager{Device: filepath.Join(t.TempDir(), "state")}
	if err := s.CopyTo("state", m.Device); err != nil {
		return err
	}
	if !p.tpm {
		// The installer makes the volume anew, whatever is there.
		err := m.Format(ctx, vault.FormatOptions{Recovery: vault.NewRecoveryKey(), Order: []vault.Kind{vault.KindTPM2}})
		if err != nil {
			return fmt.Errorf("making the volume anew: %w", err)
		}
		return nil
	}
	pcrs, err := chip.ReadPCRs(ctx, 7)
	if err != nil {
		return err
	}
	for range 3 {
		err := settled(ctx, m, chip, func() error {
			_, err := m.AddTPM2(ctx, secrets["maintenance key"], chip, vault.TPM2Options{Policy: tpm.Policy{Literal: pcrs}})
			return err
		})
		if err != nil {
			return fmt.Errorf("the next start: %w", err)
		}
	}
	if err := waysIn(ctx, m.Device, p, secrets, chip); err != nil {
		return fmt.Errorf("after the next starts: %w", err)
	}
	return tidy(m.Device)
}

// tidy looks for what a cut may have left in a header.
func tidy(path string) error {
	h, err := vault.Inspect(path)
	if err != nil {
		return err
	}
	var left []string
	if h.Broken {
		left = append(left, "a damaged header copy")
	}
	for _, s := range h.Slots {
		if s.Kind == vault.KindOther || s.Token < 0 {
			left = append(left, fmt.Sprintf("slot %d without a token", s.ID))
		}
	}
	for _, token := range h.Tokens {
		if token.Unlock == nil && len(token.Slots) == 0 {
			left = append(left, fmt.Sprintf("token %d without a slot", token.ID))
		}
	}
	if states := h.TPM2Slots(); len(states) != 1 || states[0].State != vault.StateBound {
		left = append(left, fmt.Sprintf("%d TPM slots, of which one should be bound", len(states)))
	}
	if len(left) > 0 {
		slices.Sort(left)
		return fmt.Errorf("after three starts there is left: %s", strings.Join(left, ", "))
	}
	return nil
}
