package tui

import (
	"context"
	"regexp"
	"strings"
	"testing"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/network/probe"
	"github.com/stek-edge/stek/installer/preseed"
	"github.com/stek-edge/stek/installer/vault"
	"github.com/stek-edge/stek/test/dialogue"
	"github.com/stek-edge/stek/test/machines"
)

// silentBox is the virtual box of test/site as the program on its stick sees it: with a TPM,
// an empty disk, a firmware that waits for keys, and no network card.
func silentBox(t *testing.T) Session {
	t.Helper()
	inv := machines.Load(t, "vm")
	inv.Board.Serial = "BOX0001"
	inv.Firmware.SetupMode = true
	inv.TPM = hardware.TPM{Present: true, Version: 2, SHA256: true, Measured: true}
	inv.Disks[0].Bus, inv.Disks[0].Path, inv.Disks[0].Serial = "nvme", "/dev/nvme0n1", "DISK0001"
	inv.NICs = nil
	s := session(t, "vm")
	s.Inventory, s.Values = inv, installer.Suggest(inv)
	return s
}

// TestLinesToTheEnd: a whole installation line by line, at a terminal, with the answers that
// are typed into a virtual box elsewhere: one is wrong first, and one goes back.
func TestLinesToTheEnd(t *testing.T) {
	s, key := silentBox(t), vault.NewRecoveryKey()
	var installed *installer.Plan
	// As on a box, where these may be chosen instead of going on.
	s.Look = func(context.Context) (*hardware.Inventory, error) { return s.Inventory, nil }
	s.Cards = func(context.Context) ([]probe.Card, error) { return nil, nil }
	s.Test = func(context.Context, preseed.Network, func(probe.Verdict)) error { return nil }
	s.Scan = func(context.Context) ([]probe.Network, error) { return nil, nil }
	s.Save = func([]byte) (string, error) { return "the stick", nil }
	s.Install = func(ctx context.Context, _ *preseed.Answers, p *installer.Plan, person installer.Person, _ installer.Emit) error {
		installed = p
		return installer.ShowRecovery(ctx, person, key)
	}
	l := linesAt(t, t.Context(), s)
	before := termios(t, l.tty)
	var all strings.Builder
	sees := func(text string) error {
		all.WriteString(l.sees(text))
		return nil
	}
	types := func(line string) error {
		l.types(line + "\n")
		return nil
	}
	if err := dialogue.Hold(dialogue.ToConsent, sees, types); err != nil {
		t.Fatal(err)
	}
	all.Reset()
	_ = sees(dialogue.AsksForKey)
	shown := regexp.MustCompile(`[a-v]{8}(-[a-v]{8}){7}`).FindString(all.String())
	if shown != key.Reveal() {
		t.Fatalf("the key is shown as %q:\n%s", shown, all.String())
	}
	_ = types(shown[len(shown)-8:])
	_ = sees(dialogue.Installed)
	if err := l.ends(before); err != nil {
		t.Error(err)
	}
	if installed == nil || installed.NodeName != "hall-7" || installed.Disk.Chosen.Serial != "DISK0001" || installed.Enrol || len(installed.Network.Links) > 0 {
		t.Errorf("installed: %+v", installed)
	}
}
