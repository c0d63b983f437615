package tui

import (
	"context"
	"strings"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/network/probe"
)

// app is the full-screen program: which page is shown, where on it the person is, and the
// state that the pages are made of. Nothing waits in Update, and nothing else changes what
// is shown.
type app struct {
	ctx    context.Context
	st     *state
	look   look
	styles styles
	send   func(tea.Msg)

	width, height int
	at            int // of the session's pages
	rows          []row
	unfocused     map[int][]string // lines of rows, as drawn at a width
	drawnAt       int
	notice        wrapped // the last one
	focus, top    int
	edit          textinput.Model
	edited        string // id of the input that edit is of
	overlay       overlay
	cancel        context.CancelFunc // of the steps
	left          bool
	watching      bool // the network cards are being asked
	counting      bool // a second of the countdown is running
	retrying      bool // the installation begins when the machine has been looked at
}

// overlay is what lies over a page.
type overlay int

const (
	nothing overlay = iota
	keysShown
	quitAsked
	logShown
	pictureShown
)

type (
	eventMsg installer.Event
	endMsg   struct {
		err    error
		report string // where it is
	}
)

// ErrLeft says that the person ended the program before anything was done.
var ErrLeft = &installer.Refusal{Status: installer.StatusAborted, Message: "the installation was not begun", Remedy: "start again when you like"}

// Run shows the screens until the installation has ended or the person leaves. The error
// is that of the installation, or ErrLeft.
func Run(ctx context.Context, s Session, o Options) error {
	a := newApp(ctx, s, lookOf(o.Env))
	p := tea.NewProgram(a, tea.WithContext(ctx), tea.WithInput(o.Input), tea.WithOutput(o.Output), tea.WithEnvironment(o.Env), tea.WithFilter(sized))
	a.send = p.Send
	_, err := p.Run()
	if err != nil {
		return err
	}
	return a.result()
}

// result is what Run ends with: a try that has failed did so, whatever a person did afterwards.
func (a *app) result() error {
	if a.left && a.st.outcome == nil {
		return ErrLeft
	}
	return a.st.outcome
}

func newApp(ctx context.Context, s Session, l look) *app {
	a := &app{ctx: ctx, st: newState(s), look: l, styles: stylesOf(l), width: leastWidth, height: leastHeight, cancel: func() {}}
	a.edit = textinput.New()
	a.edit.Prompt = ""
	style := textinput.DefaultStyles(true)
	style.Cursor.Blink, style.Cursor.Color = false, lipgloss.NoColor{} // reversed, on every terminal
	style.Focused, style.Blurred = textinput.StyleState{}, textinput.StyleState{}
	a.edit.SetStyles(style)
	a.st.blocks = !l.ascii
	if err := a.st.useKeyboard(); err != nil && a.st.screens[0].id != "welcome" {
		a.st.notice = a.st.say(err.Error()) // there is no field to show it at
	}
	a.open(0)
	return a
}

// sized gives a terminal that tells no size the one that every page fits into.
func sized(_ tea.Model, msg tea.Msg) tea.Msg {
	if size, ok := msg.(tea.WindowSizeMsg); ok && (size.Width <= 0 || size.Height <= 0) {
		return tea.WindowSizeMsg{Width: leastWidth, Height: leastHeight}
	}
	return msg
}

// Init implements tea.Model.
func (a *app) Init() tea.Cmd { return nil }

// View implements tea.Model.
func (a *app) View() tea.View {
	v := tea.NewView(a.frame())
	v.AltScreen = true
	return v
}

// page is what is shown: a page of the session, or what lies over it.
func (a *app) page() screen {
	switch a.overlay {
	case keysShown:
		return screen{id: "keys", rows: keyList}
	case quitAsked:
		return screen{id: "quit", rows: quitQuestion}
	case logShown:
		return screen{id: "log", rows: logLines}
	case pictureShown:
		return screen{id: "picture", rows: picture}
	}
	return a.st.page(a.at)
}

// open goes to a page of questions.
func (a *app) open(at int) {
	a.at, a.top, a.st.left = at, 0, 0
	if a.page().id == "review" && a.st.beginsAlone() {
		a.st.left = countdown
	}
	a.show()
	a.goTo(a.first())
}

// over lays something over the page, or takes it away.
func (a *app) over(o overlay) {
	a.overlay, a.top = o, 0
	a.show()
	a.goTo(a.first())
}

// show makes the rows of the page.
func (a *app) show() { a.rows, a.unfocused = a.page().rows(a.st), nil }

// refresh makes the rows anew after something changed. The focus stays on its row, wherever
// that is now: somebody may be typing there.
func (a *app) refresh() {
	if !a.focused() {
		a.show()
		return
	}
	before := a.focus
	id := a.rows[before].id
	a.show()
	at := a.find(id)
	switch {
	case at == before:
	case at >= 0:
		a.focus = at
		a.intoSight()
	default:
		a.goTo(a.first())
	}
}

// Update implements tea.Model.
func (a *app) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	before := len(a.notices())
	cmd := a.update(msg)
	if len(a.notices()) > before {
		a.intoSight() // where there is less room now
	}
	return a, tea.Batch(cmd, a.watch(), a.count())
}

func (a *app) update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		a.width, a.height = max(msg.Width, 40), max(msg.Height, 10)
	case eventMsg:
		a.st.take(installer.Event(msg))
		a.refresh()
	case saidMsg:
		a.st.said = append(a.st.said, strings.TrimSpace(string(msg)))
		a.refresh()
	case shownMsg:
		a.st.about, a.st.shown = msg.about, msg.text
		a.refresh()
	case askedMsg:
		a.ask(msg.question)
	case cardsMsg:
		a.st.cards = msg
		a.refresh()
		return watchAgain()
	case watchMsg:
		a.watching = false
	case verdictMsg:
		a.st.verdicts = append(a.st.verdicts, probe.Verdict(msg))
		a.refresh()
		a.findingsIntoSight()
	case testedMsg:
		a.st.testing = false
		if msg.err != nil {
			a.st.notice = a.st.say(msg.err.Error())
		}
		a.refresh()
		a.findingsIntoSight()
	case scannedMsg:
		a.st.heard(msg.networks, msg.err)
		if msg.err != nil {
			a.st.notice = a.st.say(msg.err.Error())
		}
		a.refresh()
	case lookedMsg:
		return a.looked(msg)
	case secondMsg:
		return a.second()
	case endMsg:
		a.st.report = msg.report
		return a.ended(msg.err)
	case reportMsg:
		a.reported(msg)
	case tea.KeyPressMsg:
		a.st.notice = ""
		if a.st.left > 0 {
			a.st.left = 0 // somebody is there
			a.refresh()
			if a.st.phase == asking {
				a.goTo(a.first())
				return nil
			}
		}
		return a.press(msg)
	case tea.PasteMsg:
		if a.edited != "" {
			return a.typed(msg)
		}
	}
	return nil
}

// ask puts a step's question, unless what it asks for was typed before. It waits behind the
// question whether to stop, so that no answer goes to the other one.
func (a *app) ask(q question) {
	a.st.asked = &q
	if c := q.choose; c != nil && a.st.pair(c.Method).good(c.Least) {
		a.st.reply()
		return
	}
	if a.overlay == quitAsked {
		a.refresh()
		return
	}
	a.over(nothing)
}

// do carries out what a row asked for.
func (a *app) do(what action) tea.Cmd {
	switch what {
	case next:
		if a.at+1 < len(a.st.screens) {
			a.open(a.at + 1)
		}
	case back:
		return a.change()
	case save:
		a.st.notice = a.st.saved()
	case saveReport:
		return a.savingReport()
	case begin:
		return a.begin()
	case lookAgain:
		return a.looking()
	case testNetwork:
		return a.testing()
	case scanNetworks:
		return a.scanning()
	case stop:
		a.over(quitAsked)
	case answer:
		a.st.reply()
		a.over(nothing)
	case leave:
		a.left = a.st.phase == asking || a.left
		return tea.Quit
	case show:
		a.over(pictureShown)
	case resume:
		a.over(nothing)
	case quit:
		return a.quit()
	}
	return nil
}

// begin begins the installation, or a further try.
func (a *app) begin() tea.Cmd {
	switch {
	case a.st.saving:
		return nil // the report, perhaps onto the disk that is divided now
	case a.st.looksFirst():
		a.retrying = true
		return a.looking()
	}
	return a.carryOut()
}

// change goes back to the questions. The machine is looked at while they are shown.
func (a *app) change() tea.Cmd {
	look := a.st.looksFirst()
	a.retrying = false
	a.open(a.st.change())
	if look {
		return a.looking()
	}
	return nil
}

// carryOut carries the plan out. The first event comes when this has returned.
func (a *app) carryOut() tea.Cmd {
	p, answers, err := a.st.ready()
	switch {
	case err != nil:
		return a.ended(err)
	case p == nil:
		a.open(a.st.at("review"))
		return nil
	}
	ctx, cancel := context.WithCancel(a.ctx)
	a.cancel = cancel
	a.st.left, a.retrying = 0, false
	a.st.start(p)
	a.over(nothing)
	return func() tea.Msg {
		defer cancel()
		end := endMsg{err: a.st.Install(ctx, answers, p, person{func(m any) { a.send(m) }}, func(e installer.Event) { a.send(eventMsg(e)) })}
		if a.st.Report != nil {
			end.report = a.st.Report()
		}
		return end
	}
}

// ended shows how the installation ended. What lies over the page goes, and then nothing has
// the focus: the key that is pressed now was meant for that. A restart on the way is for the
// caller.
func (a *app) ended(err error) tea.Cmd {
	a.st.end(err)
	if p, _, planErr := a.st.plan(); err == nil && planErr == nil && p.OnFinish != "stay" {
		a.st.left = countdown // the machine is left alone with nothing to lose
	}
	covered := a.overlay != nothing
	a.over(nothing)
	if covered {
		a.goTo(nowhere)
	}
	if a.st.restarts() {
		return tea.Quit
	}
	return nil
}

// quit is a person's yes: it ends the steps, or the program where there are none.
func (a *app) quit() tea.Cmd {
	if a.st.phase == working {
		a.cancel()
		a.over(nothing)
		return nil
	}
	a.left = a.st.phase == asking
	return tea.Quit
}
