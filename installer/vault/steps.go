package vault

import (
	"context"
	"fmt"
	"slices"
)

// Opened records which slot opened the volume in this boot. stage1 writes it to
// /run as JSON; the running box hands it to [Header.NextSteps]. It holds nothing
// secret.
type Opened struct {
	UUID       string `json:"uuid"`
	Slot       int    `json:"slot"`
	Kind       Kind   `json:"kind"`
	Generation uint64 `json:"generation,omitempty"`
	// System is the root that was started, such as "a". A slot for another root
	// was not meant to open in this boot, so that it did not says nothing.
	System string `json:"system,omitempty"`
}

// OpenedBy fills in an Opened for the root that is starting.
func (v *Volume) OpenedBy(system string) Opened {
	return Opened{UUID: v.UUID, Slot: v.Slot.ID, Kind: v.Slot.Kind, Generation: v.Slot.Generation, System: system}
}

// Action is what is to be done to a slot.
type Action string

// The actions, in the order in which NextSteps gives them.
const (
	ActionConfirm Action = "confirm" // a candidate opened the volume: bind it
	ActionRemove  Action = "remove"  // superseded, or did not open although it should have
	ActionEnrol   Action = "enrol"   // no final slot works: seal a new candidate
)

// Step is one thing to do after a boot.
type Step struct {
	Action Action `json:"action"`
	Slot   int    `json:"slot"` // -1 for ActionEnrol
	Why    string `json:"why"`
}

// NextSteps says what is to be done about the TPM slots after a boot: a pure
// function of the header and of what opened it. The transitions of a slot:
//
//	provisional ──opened──▶ stays, and a candidate is enrolled beside it
//	candidate   ──opened──▶ bound, and the older slots are removed
//	candidate   ──an older one opened──▶ removed, and enrolled anew if that is provisional
//	candidate   ──no TPM slot opened, a newer candidate is there──▶ removed
//	bound       ──a newer one opened──▶ removed
//
// The slot that opened the volume in this boot is never removed. Slots for the
// roots in keep stay: after an update the other root must still unlock if the box
// falls back to it. Slots made by other tools are left alone.
func (h *Header) NextSteps(o Opened, keep []string) []Step {
	if o.UUID != h.UUID {
		return nil // a record of another volume: nothing in it holds here
	}
	s := h.Slot(o.Slot)
	if o.Kind != KindTPM2 || s == nil || s.Kind != KindTPM2 || s.Generation != o.Generation || s.State == "" {
		return h.withoutTPM(o, s)
	}
	var steps []Step
	if s.State == StateCandidate {
		steps = append(steps, Step{ActionConfirm, s.ID, fmt.Sprintf("slot %d opened the volume", s.ID)})
	}
	for _, other := range h.TPM2Slots() {
		switch {
		case other.ID == s.ID || other.State == "":
		case other.Generation > s.Generation:
			// Newer slots are tried first, so this one was and did not open.
			if other.State == StateCandidate && (other.System == "" || other.System == o.System) {
				steps = append(steps, Step{ActionRemove, other.ID, fmt.Sprintf("slot %d is newer but did not open the volume", other.ID)})
			}
		case s.State == StateProvisional:
		case other.System != s.System && slices.Contains(keep, other.System):
		default:
			steps = append(steps, Step{ActionRemove, other.ID, fmt.Sprintf("slot %d takes its place", s.ID)})
		}
	}
	if s.State == StateProvisional {
		steps = append(steps, Step{ActionEnrol, -1, "the box is not yet bound to its final start-up values"})
	}
	return steps
}

// withoutTPM is the advice after a boot that no TPM slot of ours opened.
func (h *Header) withoutTPM(o Opened, s *Slot) []Step {
	if o.Kind == KindTPM2 || !slices.Contains(h.Order(), KindTPM2) || s == nil || s.Kind != o.Kind {
		return nil
	}
	// A box that a person opens at each start must not fill its header. The newest
	// candidate stays: the TPM may only have been missing at this start.
	var steps []Step
	newest := true
	for _, other := range h.TPM2Slots() {
		if other.State != StateCandidate || (other.System != "" && other.System != o.System) {
			continue
		}
		if !newest {
			steps = append(steps, Step{ActionRemove, other.ID, fmt.Sprintf("slot %d has never opened the volume, and a newer one is there", other.ID)})
		}
		newest = false
	}
	return append(steps, Step{ActionEnrol, -1, fmt.Sprintf("the volume was opened with the %s, not by the TPM", o.Kind)})
}

// NeedsPIN tells whether a new TPM slot is due after this boot and has to have a PIN,
// as the newest one has.
func (h *Header) NeedsPIN(o Opened) bool {
	slots := h.TPM2Slots()
	due := slices.ContainsFunc(h.NextSteps(o, nil), func(s Step) bool { return s.Action == ActionEnrol })
	return due && len(slots) > 0 && slots[0].PIN
}

// Settle carries out the steps that need no TPM: it confirms and removes. It
// returns what is left to do, which is nothing or ActionEnrol. A power cut
// between two of its writes leaves a volume that the slot of this boot still
// opens, and the next Settle goes on.
func (m *Manager) Settle(ctx context.Context, o Opened, keep []string) (left []Step, err error) {
	h, err := m.tidied(ctx)
	if err != nil {
		return nil, fmt.Errorf("looking after the TPM slots: %w", err)
	}
	for _, step := range h.NextSteps(o, keep) {
		switch step.Action {
		case ActionConfirm:
			err = m.confirm(ctx, h.Slot(step.Slot))
		case ActionRemove:
			if err = h.mayRemove(step.Slot); err == nil {
				err = m.drop(ctx, h, step.Slot)
			}
		default:
			left = append(left, step)
		}
		if err != nil {
			return nil, fmt.Errorf("%s slot %d: %w", step.Action, step.Slot, err)
		}
	}
	return left, nil
}

// confirm marks a candidate as bound, in one write.
func (m *Manager) confirm(ctx context.Context, s *Slot) error {
	t := *s.tpm2
	t.State = StateBound
	text, err := t.Encode()
	if err != nil {
		return err
	}
	return m.cryptsetup().importToken(ctx, s.Token, text, true)
}
