package tui

import (
	"errors"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/preseed"
)

// What holds once a try has ended, whichever way the questions are asked. A failure takes
// nothing away: the answers, the chosen secrets and the typed consent stay. Asked again is
// the consent alone, and only where the answers mean another disk now.

// end is how a try has ended; what its step asked and said goes with it.
func (st *state) end(outcome error) {
	st.phase, st.outcome, st.asked, st.said, st.shown = over, outcome, nil, nil, ""
}

// restarts tells whether the machine restarts on the way: the caller does it, and nobody is
// asked anything.
func (st *state) restarts() bool { return errors.Is(st.outcome, installer.ErrRestart) }

// failed tells whether a try has failed, so that a further one, or other answers, may follow.
func (st *state) failed() bool { return st.phase == over && st.outcome != nil && !st.restarts() }

// looksFirst tells whether the machine is looked at before a further try or other answers:
// what is on the disk is what the last try has left, and the disk may have come back under
// another name.
func (st *state) looksFirst() bool { return st.failed() && st.Look != nil }

// found takes what a look at the machine has found, and tells whether it could: what steps at
// work are making of the disk is for none of the questions.
func (st *state) found(inv *hardware.Inventory) bool {
	if st.phase == working {
		return false
	}
	st.Inventory = inv
	return true
}

// change goes back to the questions, to the page that it returns: a disk is what a failure is
// about most often.
func (st *state) change() (at int) {
	st.phase = asking
	return st.at("disk")
}

// ready is the plan that may be carried out now, with the person's consent to its disk, which
// holds for a further try unless the look before it has found another one. A first try that
// loses nothing may begin alone. Without consent there is no plan and no error, and the person
// is at the review again.
func (st *state) ready() (*installer.Plan, *preseed.Answers, error) {
	p, answers, err := st.plan()
	switch {
	case err != nil:
		return nil, nil, err
	case st.agreed(p), !st.failed() && st.beginsAlone():
		return p, answers, nil
	}
	st.phase = asking
	return nil, nil, nil
}
