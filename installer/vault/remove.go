package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

var (
	// ErrLastSlot means that a slot is the only way in.
	ErrLastSlot = errors.New("this is the last slot that opens the volume: without it the data is lost for ever")
	// ErrLastRecovery means that a slot is the only recovery key.
	ErrLastRecovery = errors.New("this is the last recovery key: add a new one first")
)

// Remove takes a slot and its token away and overwrites the slot's area. It
// refuses to take the last slot (ErrLastSlot) or the last recovery key
// (ErrLastRecovery) unless forced.
func (m *Manager) Remove(ctx context.Context, slot int, force bool) error {
	fail := func(err error) error { return fmt.Errorf("removing slot %d: %w", slot, err) }
	h, err := m.tidied(ctx)
	if err != nil {
		return fail(err)
	}
	if err := h.mayRemove(slot); err != nil && !(force && (errors.Is(err, ErrLastSlot) || errors.Is(err, ErrLastRecovery))) {
		return fail(err)
	}
	if err := m.drop(ctx, h, slot); err != nil {
		return fail(err)
	}
	return nil
}

// mayRemove tells whether a slot can go without losing the volume. Slots that
// cannot be opened here do not count as ways in.
func (h *Header) mayRemove(slot int) error {
	s := h.Slot(slot)
	if s == nil {
		return ErrNoSlot
	}
	left, ways, recovery := 0, 0, 0
	for _, other := range h.Slots {
		if other.ID == slot || other.Problem != nil {
			continue
		}
		left++
		// The maintenance key lies on the volume: it opens nothing from outside.
		if other.Kind != KindMaintenance {
			ways++
		}
		if other.Kind == KindRecovery {
			recovery++
		}
	}
	if left == 0 || (ways == 0 && s.Kind != KindMaintenance) {
		return ErrLastSlot
	}
	if recovery == 0 && s.Kind == KindRecovery {
		return ErrLastRecovery
	}
	return nil
}

// drop removes the slot first: a token without a slot is harmless and found by
// Tidy, a slot without a token would be a way in that nothing names.
func (m *Manager) drop(ctx context.Context, h *Header, slot int) error {
	c := m.cryptsetup()
	if err := c.killSlot(ctx, slot); err != nil {
		return err
	}
	for _, t := range h.Tokens {
		if slices.Equal(t.Slots, []int{slot}) {
			if err := c.removeToken(ctx, t.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// Tidy ends what a power cut left unfinished: a damaged copy of the header, a slot whose
// token was not written any more, and tokens of ours whose slot is gone. It is run at
// every start of a node, and before every change.
func (m *Manager) Tidy(ctx context.Context) error {
	_, err := m.tidied(ctx)
	return err
}

func (m *Manager) tidied(ctx context.Context) (*Header, error) {
	h, err := m.repaired(ctx)
	if err != nil {
		return nil, err
	}
	changed := false
	c := m.cryptsetup()
	u, _ := h.unlockToken()
	for _, id := range u.Adding {
		s := h.Slot(id)
		if s == nil || s.Token >= 0 {
			continue
		}
		if slices.ContainsFunc(h.Tokens, func(t *Token) bool { return slices.Contains(t.Slots, id) }) {
			continue // a token names it that we cannot read: not ours to judge
		}
		if h.mayRemove(id) != nil {
			continue
		}
		if err := c.killSlot(ctx, id); err != nil {
			return nil, fmt.Errorf("removing slot %d, which was not finished: %w", id, err)
		}
	}
	if len(u.Adding) != 0 {
		u.Adding, changed = nil, true
		if err := m.writeUnlock(ctx, h, u); err != nil {
			return nil, fmt.Errorf("writing the unlock order: %w", err)
		}
	}
	for _, t := range h.Tokens {
		if len(t.Slots) != 0 || t.Problem != nil || (t.TPM2 == nil && simpleTokens[t.Type] == "") {
			continue
		}
		changed = true
		if err := c.removeToken(ctx, t.ID); err != nil {
			return nil, fmt.Errorf("removing token %d, whose slot is gone: %w", t.ID, err)
		}
	}
	if !changed {
		return h, nil
	}
	return Inspect(m.Device)
}
