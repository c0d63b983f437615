package tui

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/network/probe"
	"github.com/stek-edge/stek/installer/preseed"
)

// Session is what the screens are about, and what they may have done.
type Session struct {
	Inventory *hardware.Inventory
	Image     installer.Image
	IDs       disk.IDs

	// Values are answers that are there before the first screen, by their paths, as
	// preseed.Flatten gives them. They may hold secrets, which are never shown or saved.
	Values map[string][]string
	// Ask has only the pages of these keys shown, as the key ask of an answer file. The
	// other answers are those of Values. None: every page is shown.
	Ask []string
	// Resumed says that Values are those of a try that was interrupted.
	Resumed bool

	// Install carries out a plan; what a step asks, it asks the person. It ends when ctx
	// does. nil: a rehearsal, which ends behind the review.
	Install func(ctx context.Context, a *preseed.Answers, p *installer.Plan, person installer.Person, emit installer.Emit) error
	// Look looks at the machine anew: what was pulled out may be back. nil: what there is
	// is known for good.
	Look func(ctx context.Context) (*hardware.Inventory, error)
	// Report tells where the report of the last try is; empty: nowhere. nil: there is none.
	Report func() string
	// SaveReport writes the report of a try that ended so anew, wherever there is a place for
	// it, and tells where. nil: there is none.
	SaveReport func(outcome error) (where string, err error)

	// Files are what somebody left on the stick to be taken, by ending: .conf for a tunnel,
	// .pem, .crt and .key for certificates and their keys.
	Files []File

	// Keyboard switches the layout of this console, to us as well; nil where it is not ours.
	// Another error than a keymap.LayoutError is shown, and keeps nobody from going on.
	Keyboard func(layout string) error

	// Cards tells how the network cards are now; nil: as at the start.
	Cards func(ctx context.Context) ([]probe.Card, error)
	// Scan looks for wireless networks; nil: nothing can look here.
	Scan func(ctx context.Context) ([]probe.Network, error)
	// Test puts a network in place on this machine, as it runs now, and tests it; seen
	// gets each verdict as it falls. nil: nothing can be tested here.
	Test func(ctx context.Context, n preseed.Network, seen func(probe.Verdict)) error

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
	screens []screen
	texts   *catalogue
	draft   draft
	chosen  map[string]*pair // secrets by the method that they are for: never in the draft
	typed   string           // the confirmation on the review
	phase   phase
	notice  string // of the last action, shown once

	composed composed // of the draft

	layout string // that this console was given; empty: none yet
	misfit error  // why it has not taken it

	ways     map[string]map[string][]string // links of the ways that were left
	online   map[string][]string            // the network when there was one
	joined   map[string][]string            // the cluster of another, when the box was to join it
	proxied  bool                           // a proxy is wanted, and nothing is said of it yet
	cards    []probe.Card
	networks []probe.Network // wireless ones in reach
	looking  bool            // at the machine
	scanning bool
	scanned  bool // the last time without a fault
	testing  bool
	tested   int // draft.changed when the test began
	verdicts []probe.Verdict

	steps   []stepView
	log     strings.Builder // in the language of the person
	tell    installer.Emit  // writes to log
	asked   *question       // of a step
	said    []string        // by the step that is at work
	about   string          // what it shows
	shown   string          // what it shows, to be copied
	blocks  bool            // the terminal has the signs that a picture is made of
	report  string          // where it is; empty: nowhere
	saving  bool            // the report
	left    int             // seconds until what is shown goes on by itself; 0: it does not
	outcome error
}

// composed is what the draft is as answers and as a plan.
type composed struct {
	known   bool
	of      int // draft.changed
	machine *hardware.Inventory
	given   *preseed.Answers // without what is left to its default
	full    *preseed.Answers // with it, and with the consent to lose what is on the disk
	plan    *installer.Plan
	refusal error // instead of a plan
	faults  error // instead of answers
}

func newState(s Session) *state {
	st := &state{Session: s, draft: newDraft(s.Values), chosen: map[string]*pair{}, ways: map[string]map[string][]string{}}
	st.texts = messages(st.draft.one("node.language"))
	for _, page := range screens {
		if page.wanted(st) {
			st.screens = append(st.screens, page)
		}
	}
	return st
}

// t is a text in the language of the person.
func (st *state) t(id string, args ...any) string { return st.texts.text(id, args...) }

// say is a finished text of the engine in the language of the person, as far as it is known.
func (st *state) say(text string) string { return st.texts.say(text) }

// compose reads the draft like any answer file, so that no other rule can hold for it, and
// makes the plan. That is done again only when something has changed: a plan takes longer
// than a key press may.
func (st *state) compose() composed {
	c := &st.composed
	if c.known && c.of == st.draft.changed && c.machine == st.Inventory {
		return *c
	}
	*c = composed{known: true, of: st.draft.changed, machine: st.Inventory}
	if c.given, c.faults = preseed.Compose(st.draft.values); c.faults != nil {
		c.refusal = c.faults
		return *c
	}
	c.full = preseed.Defaults(c.given)
	// What is on the disk may be lost: that is what the review asks for, before anything
	// is done.
	c.full.Disk.Erase, c.full.Disk.Reinstall = true, true
	c.plan, c.refusal = installer.Make(c.full, st.Inventory, st.Image, st.IDs)
	return *c
}

// answers are those so far, complete, or what is wrong with them. They are shared: nobody
// changes them.
func (st *state) answers() (*preseed.Answers, error) {
	c := st.compose()
	if c.faults != nil {
		return nil, c.faults
	}
	return c.full, nil
}

// plan is what the answers mean for this machine.
func (st *state) plan() (*installer.Plan, *preseed.Answers, error) {
	c := st.compose()
	if c.refusal != nil {
		return nil, nil, c.refusal
	}
	return c.plan, c.full, nil
}

// faults are what is wrong with the answers.
func (st *state) faults() preseed.Faults {
	var faults preseed.Faults
	errors.As(st.compose().faults, &faults)
	return faults
}

// agreed tells whether the person has typed the end of the serial number of the disk that
// a plan takes, so that it holds for no other disk.
func (st *state) agreed(p *installer.Plan) bool {
	return strings.EqualFold(strings.TrimSpace(st.typed), confirmation(p))
}

// start shows the steps of a plan that begins.
func (st *state) start(p *installer.Plan) {
	st.phase, st.outcome, st.steps, st.said, st.shown = working, nil, nil, nil, ""
	st.log.Reset()
	st.tell = installer.PlainLines(translator{st, &st.log})
	for _, s := range p.Steps {
		st.steps = append(st.steps, stepView{name: s.Name, words: s.Words})
	}
}

// reply hands what was typed to the step that asked. What it said stays in sight: it may
// ask again.
func (st *state) reply() {
	text := st.asked.typed
	if st.asked.choose != nil {
		text = st.pair(st.asked.choose.Method).first
	}
	st.asked.answer <- []byte(text)
	st.asked = nil
}

// saved saves the answers, without their secrets, and says where, or why not.
func (st *state) saved() string {
	c := st.compose()
	if c.faults != nil {
		return st.say(c.faults.Error())
	}
	where, err := st.Save(preseed.Redacted(c.given))
	if err != nil {
		return st.say(err.Error())
	}
	return st.t("saved", where)
}

// at is the number of a page, or of the first one.
func (st *state) at(id string) int {
	return max(0, slices.IndexFunc(st.screens, func(s screen) bool { return s.id == id }))
}
