package tui

import (
	"slices"

	"charm.land/bubbles/v2/textinput"
)

// nowhere is the focus where no row has it, before the first one.
const nowhere = -1

// first is the row that a page begins with. Where nothing is left to answer, Enter goes on.
func (a *app) first() int {
	ready := a.st.phase == asking && a.overlay == nothing && !faulty(a.rows)
	first := -1
	for i, r := range a.rows {
		switch {
		case !r.takesFocus():
		case ready && r.strict:
			return i
		case first < 0 && (r.kind != button || !a.answerable()):
			first = i
		}
	}
	return max(first, 0)
}

// focused tells whether a row has the focus.
func (a *app) focused() bool { return a.focus >= 0 && a.focus < len(a.rows) }

// answerable tells whether there is more than buttons on the page.
func (a *app) answerable() bool {
	return slices.ContainsFunc(a.rows, func(r row) bool { return r.takesFocus() && r.kind != button })
}

// goTo moves to a row, and makes it one that can be typed into. The keyboard's layout is
// chosen when its field is left: what is typed until then may be the beginning of another.
func (a *app) goTo(at int) {
	if a.edited == keyboardKey {
		_ = a.st.useKeyboard() // shown at the field, or below it
		at = a.showAgain(at)
	}
	a.focus = at
	if at == nowhere || at >= len(a.rows) || a.rows[at].kind != input {
		a.edit.Blur()
		a.edited = ""
		return
	}
	r := a.rows[at]
	a.edit.EchoMode = textinput.EchoNormal
	if r.secret {
		a.edit.EchoMode = textinput.EchoPassword
	}
	a.edit.SetValue(r.value)
	a.edit.CursorEnd()
	_ = a.edit.Focus()
	a.edited = r.id
}

// showAgain makes the rows anew, and tells where one of them is then.
func (a *app) showAgain(at int) int {
	if at < 0 || at >= len(a.rows) {
		a.show()
		return at
	}
	id := a.rows[at].id
	a.show()
	if now := a.find(id); now >= 0 {
		return now
	}
	return at
}

// find gives the row of a name that takes the focus; -1: there is none.
func (a *app) find(id string) int {
	return slices.IndexFunc(a.rows, func(r row) bool { return r.id == id && r.takesFocus() })
}

// move goes to the next row that takes the focus, and scrolls it into sight.
func (a *app) move(by int) {
	for at := a.focus + by; at >= 0 && at < len(a.rows); at += by {
		if a.rows[at].takesFocus() {
			a.goTo(at)
			break
		}
	}
	a.intoSight()
}

func (a *app) intoSight() {
	body := a.body()
	for i, l := range a.draw(a.width) {
		if l.row != a.focus {
			continue
		}
		a.top = min(a.top, i)
		a.top = max(a.top, i-body+1)
	}
}

// findingsIntoSight scrolls to what is found below the button with the focus, which stays in
// sight itself. Somebody who has gone on to a field, or to another page, is left there.
func (a *app) findingsIntoSight() {
	body, focused := a.body(), -1
	if a.page().id != "network" || !a.focused() || a.rows[a.focus].kind != button {
		return
	}
	for i, l := range a.draw(a.width) {
		switch {
		case l.row == a.focus && focused < 0:
			focused = i
		case l.row > a.focus && a.rows[l.row].kind == finding:
			a.top = max(a.top, i-body+1)
		}
	}
	if focused >= 0 {
		a.top = min(a.top, focused)
	}
}
