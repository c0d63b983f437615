package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Outcome is one attempt to open the volume.
type Outcome struct {
	Method Kind
	Slot   int // -1 when the attempt did not get as far as a slot
	Err    error
}

// LockedError means that no method opened the volume. Its outcomes are in the
// order of the attempts, for the person in front of the box.
type LockedError struct{ Outcomes []Outcome }

func (e *LockedError) Error() string {
	if len(e.Outcomes) == 0 {
		return "the encrypted volume stays locked: there was no method to try"
	}
	parts := make([]string, len(e.Outcomes))
	for i, o := range e.Outcomes {
		parts[i] = o.String()
	}
	return "the encrypted volume stays locked: " + strings.Join(parts, "; ")
}

// Report says it on a screen: a line for each attempt, and below it what to do.
func (e *LockedError) Report() []string {
	var lines []string
	for _, o := range e.Outcomes {
		lines = append(lines, "- "+o.String())
		var r interface{ Remedy() string }
		if errors.As(o.Err, &r) {
			lines = append(lines, "  "+r.Remedy())
		}
	}
	return lines
}

// Unwrap gives the reasons, so that errors.As finds, say, a *tpm.LockoutError.
func (e *LockedError) Unwrap() []error {
	errs := make([]error, len(e.Outcomes))
	for i, o := range e.Outcomes {
		errs[i] = o.Err
	}
	return errs
}

// String says what was tried and why it failed.
func (o Outcome) String() string {
	if o.Slot < 0 {
		return fmt.Sprintf("%s: %v", o.Method, o.Err)
	}
	return fmt.Sprintf("%s (slot %d): %v", o.Method, o.Slot, o.Err)
}

var (
	// ErrWrongKey means that a key fits none of the slots it was tried on.
	ErrWrongKey = errors.New("the key does not fit")
	// ErrNoSlot means that the volume has no slot of the kind a method opens.
	ErrNoSlot = errors.New("the volume has no slot for this")
	// ErrGivenUp is returned by a function that asks a person, when the person
	// does not want to answer (any more).
	ErrGivenUp = errors.New("no answer")
)

// Method is one way to unlock: [ByTPM], [ByTyping], [ByKeyFile] or [ByKey].
type Method interface {
	// unlock tries the slots it fits. It records every failure in a, and returns
	// nil when nothing opened.
	unlock(ctx context.Context, a *attempt) *Volume
}

// opener derives the volume key from a slot and the passphrase of that slot. An
// error that matches ErrWrongKey means that the passphrase does not fit.
type opener interface {
	open(slot int, passphrase []byte) (volumeKey, error)
}

// attempt is one run of Unlock.
type attempt struct {
	h        *Header
	opener   opener
	outcomes []Outcome
}

func (a *attempt) failed(m Kind, slot int, err error) {
	a.outcomes = append(a.outcomes, Outcome{Method: m, Slot: slot, Err: err})
}

// try opens one slot.
func (a *attempt) try(m Kind, s *Slot, passphrase []byte) *Volume {
	if s.Problem != nil {
		a.failed(m, s.ID, s.Problem)
		return nil
	}
	key, err := a.opener.open(s.ID, passphrase)
	if err != nil {
		a.failed(m, s.ID, err)
		return nil
	}
	return &Volume{Slot: s, UUID: a.h.UUID, key: key}
}

// Unlock tries the methods in the given order until one opens the volume. It
// writes nothing. The returned Volume holds the volume key until it is closed.
// When nothing opens it the error is a *LockedError; other errors mean that the
// disk could not be read.
func (h *Header) Unlock(ctx context.Context, methods ...Method) (*Volume, error) {
	o, done, err := h.opener()
	if err != nil {
		return nil, fmt.Errorf("reading the key slots: %w", err)
	}
	defer done()
	return h.unlock(ctx, o, methods)
}

func (h *Header) unlock(ctx context.Context, o opener, methods []Method) (*Volume, error) {
	a := &attempt{h: h, opener: o}
	for _, m := range methods {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("unlocking: %w", err)
		}
		if v := m.unlock(ctx, a); v != nil {
			v.Outcomes = a.outcomes
			return v, nil
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("unlocking: %w", err)
	}
	return nil, &LockedError{Outcomes: a.outcomes}
}

// Arrange sorts methods by the volume's unlock order. A kind that is in the order
// but not in the map is left out; those in the map but not in the order follow at
// the end, the recovery key last of all.
func (h *Header) Arrange(by map[Kind]Method) []Method {
	order := h.Order()
	var rest []Kind
	for k := range by {
		if !slices.Contains(order, k) && k != KindRecovery {
			rest = append(rest, k)
		}
	}
	slices.Sort(rest)
	var methods []Method
	for _, k := range append(append(order, rest...), KindRecovery) {
		if m := by[k]; m != nil {
			methods = append(methods, m)
		}
	}
	return methods
}
