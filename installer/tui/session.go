package tui

import (
	"context"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/preseed"
)

// Session is what the screens are about, and what they may have done.
type Session struct {
	Inventory *hardware.Inventory
	Image     installer.Image
	IDs       disk.IDs

	// Values are answers that are there before the first screen, by their paths, as
	// preseed.Template takes them.
	Values map[string][]string

	// Install carries out a plan; what a step asks, it asks the person. It ends when ctx
	// does. nil: a rehearsal, which ends behind the review.
	Install func(ctx context.Context, a *preseed.Answers, p *installer.Plan, person installer.Person, emit installer.Emit) error

	// Keyboard switches the layout of this console; nil where it is not ours.
	Keyboard func(layout string) error

	// Save keeps an answer file and tells where; nil where there is no place for one.
	Save func(text []byte) (where string, err error)
}

// phase is where a session is.
type phase int

const (
	asking phase = iota
	working
	over
)

// state is everything that the screens show. It changes in Update alone.
type state struct {
	Session
	texts  *catalogue
	draft  draft
	typed  string // the confirmation on the review
	phase  phase
	notice string // of the last action, shown once

	steps   []stepView
	log     []string
	asked   *question // of a step
	said    []string  // by the step that is at work
	about   string    // what it shows
	shown   string    // what it shows, to be copied
	blocks  bool      // the terminal has the signs that a picture is made of
	outcome error
}

func newState(s Session) *state {
	st := &state{Session: s, draft: newDraft(s.Values)}
	st.texts = messages(st.draft.one("node.language"))
	return st
}

// t is a text in the language of the person.
func (st *state) t(id string, args ...any) string { return st.texts.text(id, args...) }

// answers are those so far, complete, or what is wrong with them.
func (st *state) answers() (*preseed.Answers, error) { return st.draft.answers() }

// plan is what the answers mean for this machine. What is on the disk may be lost: that
// is what the review asks for, before anything is done.
func (st *state) plan() (*installer.Plan, *preseed.Answers, error) {
	a, err := st.answers()
	if err != nil {
		return nil, nil, err
	}
	a.Disk.Erase, a.Disk.Reinstall = true, true
	p, err := installer.Make(a, st.Inventory, st.Image, st.IDs)
	return p, a, err
}

// start shows the steps of a plan that begins.
func (st *state) start(p *installer.Plan) {
	st.phase, st.outcome, st.steps, st.log, st.said, st.shown = working, nil, nil, nil, nil, ""
	for _, s := range p.Steps {
		st.steps = append(st.steps, stepView{name: s.Name, words: s.Words})
	}
}

// reply hands what was typed to the step that asked. What it said stays in sight: it may
// ask again.
func (st *state) reply() {
	st.asked.answer <- []byte(st.asked.typed)
	st.asked = nil
}

// saved saves the answers, and says where, or why not.
func (st *state) saved() string {
	text, err := st.draft.file()
	if err != nil {
		return err.Error()
	}
	where, err := st.Save(text)
	if err != nil {
		return err.Error()
	}
	return st.t("saved", where)
}
