package tui

import (
	"strings"

	tea "charm.land/bubbletea/v2"
)

// press follows a key.
func (a *app) press(key tea.KeyPressMsg) tea.Cmd {
	switch name := key.String(); {
	case name == "ctrl+c":
		a.over(quitAsked)
	case name == "ctrl+l":
		return tea.ClearScreen
	case name == "f3":
		plain := !(a.look.ascii && a.look.mono)
		a.look = look{ascii: plain, mono: plain}
		a.styles, a.st.blocks = stylesOf(a.look), !plain
		a.refresh()
	case name == "q" && a.edited == "":
		a.over(quitAsked)
	case name == "f1", name == "?" && a.edited == "":
		a.over(keysShown)
	case name == "f2" && a.st.phase != asking:
		a.over(logShown)
	case a.focus == nowhere && (name == "enter" || name == "space" || name == " " || name == "esc"):
		a.move(1)
	case name == "esc":
		return a.escape()
	case name == "down", name == "tab":
		a.move(1)
	case name == "up", name == "shift+tab":
		a.move(-1)
	case name == "home" && a.edited == "":
		a.focus = nowhere
		a.move(1)
	case name == "end" && a.edited == "":
		a.focus = len(a.rows)
		a.move(-1)
	case name == "pgdown":
		a.top += a.body() - 1 // frame keeps it within the page
	case name == "pgup":
		a.top = max(0, a.top-a.body()+1)
	case name == "enter", (name == "space" || name == " ") && a.edited == "":
		return a.choose()
	case a.edited != "":
		return a.typed(key)
	}
	return nil
}

// escape goes back one step; on the first page there is none.
func (a *app) escape() tea.Cmd {
	switch {
	case a.overlay != nothing:
		a.over(nothing)
	case a.st.phase == asking && a.at > 0:
		a.open(a.at - 1)
	case a.st.failed():
		return a.do(back)
	}
	return nil
}

// typed hands a key or a pasted text to the input, and the value to the answers.
func (a *app) typed(msg tea.Msg) tea.Cmd {
	var cmd tea.Cmd
	r := a.rows[a.focus]
	if r.lines {
		a.pasted(msg)
		return nil
	}
	a.edit, cmd = a.edit.Update(msg)
	if r.set != nil {
		r.set(a.st, a.edit.Value())
	}
	a.refresh()
	a.intoSight()
	return cmd
}

// pasted takes a text of many lines as it is, or takes it away.
func (a *app) pasted(msg tea.Msg) {
	r := a.rows[a.focus]
	switch msg := msg.(type) {
	case tea.PasteMsg:
		r.set(a.st, strings.ReplaceAll(strings.ReplaceAll(msg.Content, "\r\n", "\n"), "\r", "\n"))
	case tea.KeyPressMsg:
		if name := msg.String(); name != "backspace" && name != "delete" {
			return
		}
		r.set(a.st, "")
	}
	a.refresh()
	a.goTo(a.focus)
	a.intoSight()
}

// choose is Enter on the row that has the focus.
func (a *app) choose() tea.Cmd {
	if a.focus >= len(a.rows) {
		return nil
	}
	r := a.rows[a.focus]
	switch {
	case r.kind == input:
		a.move(1)
		return nil
	case r.strict && faulty(a.rows):
		a.toFault()
		return nil
	case r.do == nil:
		return nil
	}
	what := r.do(a.st)
	a.refresh()
	return a.do(what)
}

// toFault goes to what is to be mended: the row with a fault, or where a button has it,
// because something else is missing, the first row that can be answered.
func (a *app) toFault() {
	for i, r := range a.rows {
		if r.fault == "" || !r.takesFocus() {
			continue
		}
		if r.kind == button {
			i = a.first()
		}
		a.goTo(i)
		a.intoSight()
		return
	}
}
