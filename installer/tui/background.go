package tui

import (
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/network/probe"
)

// What goes on while a person looks at a page: each piece of work is a command, which changes
// nothing itself and ends in one of these messages.
type (
	lookedMsg struct {
		inventory *hardware.Inventory
		err       error
	}
	cardsMsg   []probe.Card
	verdictMsg probe.Verdict
	testedMsg  struct{ err error }
	scannedMsg struct {
		networks []probe.Network
		err      error
	}
	reportMsg struct {
		where string
		err   error
	}
	secondMsg struct{}
	watchMsg  struct{}
)

// Seconds until what needs nobody goes on, and between two looks at the network cards.
const (
	countdown    = 30
	cardsBetween = 2 * time.Second
)

// watch asks the network cards how they are, while a page shows it.
func (a *app) watch() tea.Cmd {
	if a.watching || a.st.Cards == nil || a.page().id != "network" {
		return nil
	}
	a.watching = true
	return func() tea.Msg {
		cards, err := a.st.Cards(a.ctx)
		if err != nil {
			return cardsMsg(nil) // the page shows what was there at the start
		}
		return cardsMsg(cards)
	}
}

// watchAgain waits until the cards are asked once more.
func watchAgain() tea.Cmd {
	return tea.Tick(cardsBetween, func(time.Time) tea.Msg { return watchMsg{} })
}

// count lets a second of the countdown pass, where there is one.
func (a *app) count() tea.Cmd {
	if a.counting || a.st.left == 0 {
		return nil
	}
	a.counting = true
	return tea.Tick(time.Second, func(time.Time) tea.Msg { return secondMsg{} })
}

// second takes one from the countdown, and at its end does what needs nobody.
func (a *app) second() tea.Cmd {
	a.counting = false
	if a.st.left == 0 {
		return nil
	}
	if a.st.left--; a.st.left > 0 {
		a.refresh()
		return nil
	}
	if a.st.phase == asking {
		return a.begin()
	}
	return tea.Quit
}

// testing puts the network that was answered in place, and tests it.
func (a *app) testing() tea.Cmd {
	answers, err := a.st.answers()
	if err != nil {
		return nil // its faults are shown
	}
	a.st.testing, a.st.tested, a.st.verdicts = true, a.st.draft.changed, nil
	a.refresh()
	return func() tea.Msg {
		return testedMsg{a.st.Test(a.ctx, answers.Network, func(v probe.Verdict) { a.send(verdictMsg(v)) })}
	}
}

// scanning looks for wireless networks.
func (a *app) scanning() tea.Cmd {
	a.st.scanning = true
	a.refresh()
	return func() tea.Msg {
		networks, err := a.st.Scan(a.ctx)
		return scannedMsg{networks, err}
	}
}

// savingReport writes the report anew: a stick may take its time. Not when the next try is
// about to begin, which has a report of its own.
func (a *app) savingReport() tea.Cmd {
	if a.st.saving || a.retrying {
		return nil
	}
	a.st.saving = true
	outcome := a.st.outcome
	return func() tea.Msg {
		where, err := a.st.SaveReport(outcome)
		return reportMsg{where, err}
	}
}

// reported says where the report is now, or why it is not; nothing of the try before while
// steps are at work.
func (a *app) reported(msg reportMsg) {
	a.st.saving = false
	switch {
	case a.st.phase == working:
		return
	case msg.err != nil:
		a.st.notice = a.st.say(msg.err.Error())
		return
	}
	a.st.report, a.st.notice = msg.where, a.st.t("saved", a.st.say(msg.where))
	a.refresh()
}

// looking looks at the machine anew, once at a time.
func (a *app) looking() tea.Cmd {
	if a.st.looking {
		return nil
	}
	a.st.looking = true
	return func() tea.Msg {
		inv, err := a.st.Look(a.ctx)
		return lookedMsg{inv, err}
	}
}

// looked shows what is there now. A further try begins with it if the person has not gone on
// to something else meanwhile.
func (a *app) looked(msg lookedMsg) tea.Cmd {
	retry := a.retrying && a.st.failed() && a.overlay == nothing
	a.st.looking, a.retrying = false, false
	switch {
	case msg.err != nil:
		a.st.notice = a.st.say(msg.err.Error())
		return nil
	case !a.st.found(msg.inventory):
		return nil
	}
	a.refresh()
	if !retry {
		return nil
	}
	return a.carryOut()
}
