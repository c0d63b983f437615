package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// slotsFor makes a header with TPM slots from short descriptions such as
// "1 provisional", "3 candidate b".
func slotsFor(list ...string) *Header {
	h := &Header{UUID: "u", Slots: []*Slot{{ID: 0, Kind: KindRecovery, Token: 0}}}
	h.Tokens = []*Token{{ID: 9, Type: typeUnlock, Unlock: &UnlockToken{Methods: []Kind{KindTPM2}}}}
	for i, text := range list {
		s := &Slot{ID: i + 1, Kind: KindTPM2, Token: i + 1}
		fields := strings.Fields(text)
		fmt.Sscan(fields[0], &s.Generation)
		if len(fields) > 1 {
			s.State = State(fields[1])
		}
		if len(fields) > 2 {
			s.System = fields[2]
		}
		h.Slots = append(h.Slots, s)
	}
	return h
}

func TestNextSteps(t *testing.T) {
	tests := []struct {
		name   string
		slots  []string
		opened int // slot
		system string
		keep   []string
		want   []string
	}{
		{"first start from the disk", []string{"1 provisional"}, 1, "a", nil, []string{"enrol -1"}},
		{"the candidate opened", []string{"1 provisional", "2 candidate"}, 2, "a", nil, []string{"confirm 2", "remove 1"}},
		{"the candidate failed", []string{"1 provisional", "2 candidate"}, 1, "a", nil, []string{"remove 2", "enrol -1"}},
		{"cut after confirming", []string{"1 provisional", "2 bound"}, 2, "a", nil, []string{"remove 1"}},
		{"settled", []string{"2 bound"}, 1, "a", nil, nil},
		{"resealed, new one opened", []string{"2 bound", "3 candidate"}, 2, "a", nil, []string{"confirm 2", "remove 1"}},
		{"resealed, new one failed", []string{"2 bound", "3 candidate"}, 1, "a", nil, []string{"remove 2"}},
		{"candidate for the other root waits", []string{"2 bound a", "3 candidate b"}, 1, "a", []string{"b"}, nil},
		{"other root started, old one kept", []string{"2 bound a", "3 candidate b"}, 2, "b", []string{"a"}, []string{"confirm 2"}},
		{"other root started, old one given up", []string{"2 bound a", "3 candidate b"}, 2, "b", nil, []string{"confirm 2", "remove 1"}},
		{"fallen back to the first root", []string{"2 bound a", "3 bound b"}, 1, "a", []string{"b"}, nil},
		{"provisional goes even if its root is kept", []string{"1 provisional", "2 candidate a"}, 2, "a", []string{"b"}, []string{"confirm 2", "remove 1"}},
		{"another tool's slot stays", []string{"0", "1 candidate"}, 2, "a", nil, []string{"confirm 2"}},
		{"opened by another tool's slot", []string{"0", "1 candidate"}, 1, "a", nil, nil},
		{"opened by the recovery key", []string{"1 bound"}, 0, "a", nil, []string{"enrol -1"}},
		{"opened by the recovery key again", []string{"1 bound", "2 candidate"}, 0, "a", nil, []string{"enrol -1"}},
		{"opened by the recovery key each time", []string{"1 bound", "2 candidate", "3 candidate"}, 0, "a", nil, []string{"remove 2", "enrol -1"}},
		{"opened by the recovery key, candidates of both roots", []string{"1 bound", "2 candidate b", "3 candidate a", "4 candidate a"}, 0, "a", nil, []string{"remove 3", "enrol -1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := slotsFor(tt.slots...)
			s := h.Slot(tt.opened)
			var got []string
			for _, step := range h.NextSteps(Opened{UUID: "u", Slot: s.ID, Kind: s.Kind, Generation: s.Generation, System: tt.system}, tt.keep) {
				got = append(got, fmt.Sprintf("%s %d", step.Action, step.Slot))
				if step.Why == "" || (step.Action == ActionRemove && step.Slot == tt.opened) {
					t.Errorf("step %+v", step)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("steps %v, want %v", got, tt.want)
			}
		})
	}
	t.Run("stale records say nothing", func(t *testing.T) {
		h := slotsFor("1 provisional", "2 candidate")
		for _, o := range []Opened{
			{UUID: "other", Slot: 2, Kind: KindTPM2, Generation: 2},
			{UUID: "u", Slot: 2, Kind: KindTPM2, Generation: 9},
			{UUID: "u", Slot: 0, Kind: KindTPM2},
			{UUID: "u", Slot: 7, Kind: KindTPM2, Generation: 2},
			{UUID: "u", Slot: 7, Kind: KindRecovery},
		} {
			if steps := h.NextSteps(o, nil); len(steps) != 0 {
				t.Errorf("%+v gives %v", o, steps)
			}
		}
	})
}

func TestMayRemove(t *testing.T) {
	tooCostly := &Slot{ID: 5, Kind: KindOther, Problem: ErrSlotCost}
	tests := []struct {
		name  string
		slots []*Slot
		slot  int
		want  error
	}{
		{"one of two", []*Slot{{ID: 0, Kind: KindRecovery}, {ID: 1, Kind: KindPassphrase}}, 1, nil},
		{"the last recovery key", []*Slot{{ID: 0, Kind: KindRecovery}, {ID: 1, Kind: KindTPM2}}, 0, ErrLastRecovery},
		{"one of two recovery keys", []*Slot{{ID: 0, Kind: KindRecovery}, {ID: 1, Kind: KindRecovery}}, 0, nil},
		{"the only slot", []*Slot{{ID: 0, Kind: KindPassphrase}}, 0, ErrLastSlot},
		{"the only slot, which is not tried here", []*Slot{tooCostly}, 5, ErrLastSlot},
		{"the last one that is tried here", []*Slot{{ID: 0, Kind: KindPassphrase}, tooCostly}, 0, ErrLastSlot},
		{"one that is not tried here", []*Slot{{ID: 0, Kind: KindRecovery}, tooCostly}, 5, nil},
		{"only the maintenance key would be left", []*Slot{{ID: 0, Kind: KindTPM2}, {ID: 1, Kind: KindMaintenance}}, 0, ErrLastSlot},
		{"the maintenance key", []*Slot{{ID: 0, Kind: KindRecovery}, {ID: 1, Kind: KindMaintenance}}, 1, nil},
		{"the maintenance key alone", []*Slot{{ID: 1, Kind: KindMaintenance}}, 1, ErrLastSlot},
		{"no such slot", []*Slot{{ID: 0, Kind: KindRecovery}}, 3, ErrNoSlot},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := (&Header{Slots: tt.slots}).mayRemove(tt.slot); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}

// TestRotationSurvivesPowerCuts plays a box from its installation to its final
// state, and cuts the power before each command of each boot once. Whatever
// happens, every boot opens by the TPM and the box ends with one bound slot.
func TestRotationSurvivesPowerCuts(t *testing.T) {
	ctx := context.Background()
	installed, key := newVolume(t, FormatOptions{Order: []Kind{KindTPM2}})
	dev := newMemoryTPM()
	if _, err := installed.AddTPM2(ctx, []byte(key.Reveal()), dev, TPM2Options{State: StateProvisional}); err != nil {
		t.Fatal(err)
	}
	for cut := 0; cut < 16; cut++ {
		t.Run(fmt.Sprint("cut before command ", cut), func(t *testing.T) {
			m := copyVolume(t, installed)
			runner := &spyRunner{left: cut}
			for range 8 {
				m.Runner = runner
				boot(t, m, dev, []byte(key.Reveal()))
				if runner.left < 0 {
					runner.left = 0 // the power is back
				}
			}
			slots := inspect(t, m).TPM2Slots()
			if len(slots) != 1 || slots[0].State != StateBound || slots[0].Generation < 2 {
				t.Errorf("ended with %+v", slots)
			}
		})
	}
}

// boot is what the box does at every start.
func boot(t *testing.T, m *Manager, dev *memoryTPM, auth []byte) {
	t.Helper()
	ctx := context.Background()
	v, err := inspect(t, m).Unlock(ctx, ByTPM{Unsealer: dev})
	if err != nil {
		t.Fatalf("the box does not start: %v", err)
	}
	record := v.OpenedBy("a")
	v.Close()
	left, err := m.Settle(ctx, record, nil)
	if err == nil && len(left) != 0 {
		_, err = m.AddTPM2(ctx, auth, dev, TPM2Options{})
	}
	if err != nil && !errors.Is(err, errPowerCut) {
		t.Fatal(err)
	}
}
