package vault

import (
	"strings"
	"testing"

	"github.com/stek-edge/stek/installer/tpm"
	"github.com/stek-edge/stek/test/golden"
)

// tpmSlot makes a TPM slot with a policy.
func tpmSlot(id int, state State, pin, signed bool, pcrs ...int) *Slot {
	sealed := tpm.Sealed{PIN: pin, PCRs: pcrs}
	if signed {
		sealed.Signed = &tpm.Signed{PCRs: []int{11}}
	}
	return &Slot{ID: id, Kind: KindTPM2, State: state, tpm2: &TPM2Token{Slot: id, Sealed: sealed, State: state}}
}

// TestProtectionGolden writes the whole statements for a reviewer to read.
func TestProtectionGolden(t *testing.T) {
	recovery := &Slot{ID: 0, Kind: KindRecovery}
	maintenance := &Slot{ID: 1, Kind: KindMaintenance}
	tests := []struct {
		name string
		s    Situation
	}{
		{"secure-boot", Situation{Measured: true, SecureBoot: true,
			Slots: []*Slot{recovery, maintenance, tpmSlot(2, StateBound, false, true, 7, 12, 15)}}},
		{"secure-boot-pin", Situation{Measured: true, SecureBoot: true,
			Slots: []*Slot{recovery, tpmSlot(2, StateBound, true, true, 7, 12, 15)}}},
		{"no-secure-boot", Situation{Measured: true,
			Slots: []*Slot{recovery, tpmSlot(2, StateBound, false, false, 4, 7, 11, 12, 15)}}},
		{"not-yet-bound", Situation{Measured: true,
			Slots: []*Slot{recovery, tpmSlot(2, StateProvisional, false, false, 7, 11, 12, 15)}}},
		{"old-beside-new", Situation{Measured: true, SecureBoot: true,
			Slots: []*Slot{recovery, tpmSlot(2, StateProvisional, false, false, 7), tpmSlot(3, StateCandidate, true, true, 7, 12, 15)}}},
		{"raspberry-pi", Situation{
			Slots: []*Slot{recovery, tpmSlot(2, StateBound, false, false)}}},
		{"passphrase-only", Situation{Measured: true,
			Slots: []*Slot{recovery, {ID: 2, Kind: KindPassphrase}, {ID: 3, Kind: KindKeyStick}, {ID: 4, Kind: KindOther}}}},
		{"no-recovery", Situation{Measured: true, SecureBoot: true,
			Slots: []*Slot{tpmSlot(2, StateBound, false, true, 7)}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			st := Protection(tt.s)
			var b strings.Builder
			for _, part := range []struct {
				title string
				lines []string
			}{{"Protected against:", st.Protected}, {"NOT protected against:", st.NotProtected}, {"Open:", st.Open}} {
				b.WriteString(part.title + "\n")
				for _, line := range part.lines {
					b.WriteString("- " + line + "\n")
				}
			}
			golden.Check(t, "protection-"+tt.name+".txt", []byte(b.String()))
		})
	}
}

// TestProtectionIsThatOfTheWeakestSlot: adding a weaker slot never adds a promise.
func TestProtectionIsThatOfTheWeakestSlot(t *testing.T) {
	strong := tpmSlot(2, StateBound, true, true, 7, 12, 15)
	weak := []*Slot{
		tpmSlot(3, "", false, true, 7, 12, 15),
		tpmSlot(3, "", true, false, 7, 12, 15),
		tpmSlot(3, "", true, true),
		{ID: 3, Kind: KindTPM2}, // a policy that cannot be read
	}
	has := func(list []string, part string) bool {
		for _, line := range list {
			if strings.Contains(line, part) {
				return true
			}
		}
		return false
	}
	alone := Protection(Situation{Slots: []*Slot{strong}, Measured: true, SecureBoot: true})
	if !has(alone.Protected, "PIN") || !has(alone.Protected, "Changed start-up software") {
		t.Errorf("the strong slot alone: %q", alone.Protected)
	}
	for i, w := range weak {
		for _, slots := range [][]*Slot{{strong, w}, {w, strong}} {
			st := Protection(Situation{Slots: slots, Measured: true, SecureBoot: true})
			if has(st.Protected, "PIN") && has(st.Protected, "Changed start-up software") {
				t.Errorf("weak slot %d: %q", i, st.Protected)
			}
			if len(st.NotProtected) <= len(alone.NotProtected) {
				t.Errorf("weak slot %d exposes nothing: %q", i, st.NotProtected)
			}
		}
	}
}
