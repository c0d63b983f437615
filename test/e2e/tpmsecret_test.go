//go:build e2e

package e2e

import (
	"crypto"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/stek-edge/stek/firmware/uki"
	"github.com/stek-edge/stek/installer/tpm"
	"github.com/stek-edge/stek/installer/vault"
	"github.com/stek-edge/stek/test/eventlog"
	"github.com/stek-edge/stek/test/swtpm"
	"github.com/stek-edge/stek/test/vm"
)

// sealedStart is what a running box knows of the key that its TPM keeps. The box itself
// cannot unseal it any more, which is the point of capping PCR 11.
type sealedStart struct {
	token  []byte   // of the slot that opened the volume
	events []byte   // the firmware's log of what it measured
	pcrs   tpm.PCRs // their values when the volume was opened
}

func (b *testBox) sealedStart(t *testing.T) sealedStart {
	t.Helper()
	opened := b.opened(t)
	slots := b.status(t).Slots
	i := slices.IndexFunc(slots, func(s slotStatus) bool { return s.ID == opened.Slot })
	if i < 0 {
		t.Fatalf("no slot %d in %+v", opened.Slot, slots)
	}
	return sealedStart{
		token:  b.read(t, fmt.Sprintf("cryptsetup token export --token-id %d %s", slots[i].Token, opened.Device)),
		events: b.readLong(t, "/sys/kernel/security/tpm0/binary_bios_measurements"),
		pcrs:   opened.PCRs,
	}
}

// unseal plays the start again to a copy of the switched-off box's TPM: the same
// measurements, then the same policy, and it gives the secret once more.
func (s sealedStart) unseal(t *testing.T, chip vm.TPM) vm.Canary {
	t.Helper()
	token, err := vault.ParseTPM2(s.token)
	must(t, err)
	dir := t.TempDir()
	must(t, os.CopyFS(dir, os.DirFS(chip.Dir)))
	device, err := tpm.Open("swtpm:" + swtpm.StartIn(t, dir).Socket)
	must(t, err)
	defer device.Close()
	events, err := eventlog.Parse(s.events)
	must(t, err)
	for _, e := range events {
		if _, bound := s.pcrs[e.PCR]; bound {
			must(t, device.ExtendDigests(t.Context(), e.PCR, func(crypto.Hash) []byte { return e.SHA256 }))
		}
	}
	must(t, device.Extend(t.Context(), uki.PCR11, []byte(uki.PhaseEnterInitrd)))
	now, err := device.ReadPCRs(t.Context(), slices.Collect(maps.Keys(s.pcrs))...)
	must(t, err)
	if changed := s.pcrs.Changed(now); len(changed) > 0 {
		t.Fatalf("the log of %d events does not lead to PCR %v", len(events), changed)
	}
	value, err := device.Unseal(t.Context(), &token.Sealed, nil, nil)
	must(t, err)
	return vm.Canary{Name: "secret of the TPM's slot", Value: value}
}
