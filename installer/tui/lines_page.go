package tui

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/stek-edge/stek/installer/network/probe"
)

// page asks what is on one page, until nothing on it is wrong.
func (l *lines) page(s screen) (action, error) {
	for {
		l.say("\n== %s", l.st.t("title."+s.id))
		if s.id == "network" && l.st.Cards != nil {
			l.st.cards, _ = l.st.Cards(l.ctx) // without, the page shows what was there at the start
		}
		before := l.reads
		did, err := l.ask(s)
		switch {
		case err != nil || did != stay:
			return did, err
		case l.reads > before:
			l.say("%s", l.st.t("line.again"))
		default: // there was nothing to answer: nobody is to be told the same without end
			if _, err := l.read(l.ctx, l.st.t("line.again"), false); err != nil {
				return stay, err
			}
		}
	}
}

// ask goes through the rows of a page in groups: a text, an input, or the options, the
// switches or the buttons that stand together. An answer may change the rows before it and
// behind it; each is asked once.
func (l *lines) ask(s screen) (action, error) {
	asked := map[about]bool{}
	for {
		rows := s.rows(l.st)
		group, keys := l.upTo(rows, asked)
		if group == nil {
			return stay, nil
		}
		did, err := l.group(s, rows, group)
		if err != nil {
			return stay, err
		}
		switch did {
		case stay:
		case lookAgain:
			l.lookAgain()
			clear(asked) // another machine, perhaps
		case scanNetworks:
			l.scan()
		case testNetwork, save, saveReport:
			l.testOrSave(did)
			for _, k := range keys {
				delete(asked, k)
			}
		default:
			return did, nil
		}
	}
}

// about is what makes a row the same one after an answer, wherever it stands then: its name,
// or where it has none what it says, and below which heading.
type about struct{ id, under, text string }

// upTo prints texts up to the next rows to ask for, and gives those: the ones that are asked
// with one question. What was printed or given is asked.
func (l *lines) upTo(rows []row, asked map[about]bool) (group []row, keys []about) {
	all := make([]about, len(rows))
	under := ""
	for i, r := range rows {
		if r.kind == heading {
			under = r.text
		}
		if all[i].id = r.id; r.id == "" {
			all[i].under, all[i].text = under, r.text
		}
	}
	for i, r := range rows {
		switch {
		case asked[all[i]], r.kind == heading && i+1 < len(rows) && asked[all[i+1]]:
			continue
		case r.kind == heading, r.kind == paragraph, r.kind == finding:
			asked[all[i]] = true
			l.list(rows[i : i+1])
			continue
		}
		end := i + 1
		for r.kind != input && end < len(rows) && rows[end].kind == r.kind && !asked[all[end]] {
			end++
		}
		for _, k := range all[i:end] {
			asked[k] = true
		}
		return rows[i:end], all[i:end]
	}
	return nil, nil
}

func (l *lines) group(s screen, page, group []row) (action, error) {
	switch r := group[0]; r.kind {
	case input:
		if r.lines {
			return stay, nil // nothing tells a pasted line from a typed one here
		}
		return stay, l.input(l.ctx, r, func() row { return l.same(s, r) })
	case option, check:
		l.list(group)
		return stay, l.choose(group)
	}
	return l.button(page, group)
}

// list prints rows, those that can be chosen with numbers.
func (l *lines) list(rows []row) {
	number := 0
	for _, r := range rows {
		before := marks(r)
		if r.takesFocus() {
			number++
			before = fmt.Sprintf("%d. %s", number, before)
		}
		l.say("%s%s", before, r.text)
		if r.note != "" {
			l.say("     %s", r.note)
		}
	}
}

// empties is typed alone to empty an answer that has a value: nothing typed keeps it.
const empties = "-"

// input asks for a text, until it is right. Nothing typed keeps what is there. now is the
// row as it is after an answer.
func (l *lines) input(ctx context.Context, r row, now func() row) error {
	for {
		if r.note != "" {
			l.say("%s", r.note)
		}
		question, mayBeEmpty := r.text, r.value != "" && l.st.mayBeEmpty(r.id)
		var ways []string
		if r.value != "" && !r.secret {
			ways = append(ways, l.st.t("line.keep", r.value))
		}
		if mayBeEmpty {
			ways = append(ways, l.st.t("line.empty", empties))
		}
		if len(ways) > 0 {
			question += " (" + strings.Join(ways, ", ") + ")"
		}
		typed, err := l.read(ctx, question, r.secret)
		if err != nil {
			return err
		}
		if typed == "" && (r.fault == "" || !r.secret) {
			return nil
		}
		if mayBeEmpty && typed == empties {
			typed = ""
		}
		r.set(l.st, typed)
		if r.id == keyboardKey {
			_ = l.st.useKeyboard() // said as a fault of the row
		}
		after := now()
		if r.secret && after.note != "" {
			l.say("%s", after.note)
		}
		if after.fault == "" {
			return nil
		}
		l.say("! %s", after.fault)
		if r.secret {
			return nil // which of the two was mistyped nobody knows: both are asked again
		}
	}
}

// same is the input after it was set.
func (l *lines) same(s screen, r row) row {
	for _, now := range s.rows(l.st) {
		if now.kind == input && now.id == r.id {
			return now
		}
	}
	return r
}

// choose asks for one option, or for the switches to turn.
func (l *lines) choose(rows []row) error {
	open := slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return !r.takesFocus() })
	if len(open) == 0 {
		return nil
	}
	question, several := l.st.t("line.choose"), open[0].kind == check
	if several {
		question = l.st.t("line.choose.several")
	}
	var kept []string
	for i, r := range open {
		if r.on {
			kept = append(kept, strconv.Itoa(i+1))
		}
	}
	if len(kept) > 0 {
		question += " (" + l.st.t("line.keep", strings.Join(kept, ", ")) + ")"
	}
	for {
		typed, err := l.read(l.ctx, question, false)
		if err != nil {
			return err
		}
		if chosen, ok := numbers(typed, len(open)); ok && (several || len(chosen) < 2) {
			for i, r := range open {
				if wanted := slices.Contains(chosen, i); len(chosen) > 0 && (several && wanted != r.on || !several && wanted) {
					r.do(l.st)
				}
			}
			return nil
		}
		l.say("! 1-%d", len(open))
	}
}

// numbers reads numbers from 1 to n as indexes.
func numbers(text string, n int) (chosen []int, ok bool) {
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == ' ' }) {
		i, err := strconv.Atoi(word)
		if err != nil || i < 1 || i > n {
			return nil, false
		}
		chosen = append(chosen, i-1)
	}
	return chosen, true
}

// button asks which of the buttons is pressed; a single one is pressed by itself. One that
// needs a page without a fault says what is wrong instead.
func (l *lines) button(page, buttons []row) (action, error) {
	pressed := buttons[0]
	for len(buttons) > 1 {
		l.list(buttons)
		typed, err := l.read(l.ctx, l.st.t("line.choose"), false)
		if err != nil {
			return stay, err
		}
		if chosen, ok := numbers(typed, len(buttons)); ok && len(chosen) == 1 {
			pressed = buttons[chosen[0]]
			break
		}
	}
	if pressed.strict && faulty(page) {
		for _, r := range page {
			if r.fault != "" {
				l.say("! %s", r.fault)
			}
		}
		return stay, nil
	}
	return pressed.do(l.st), nil
}

// lookAgain looks at the machine anew, and tells whether that could be done.
func (l *lines) lookAgain() bool {
	if l.st.Look == nil {
		return true
	}
	l.say("%s", l.st.t("looking"))
	err := l.during(atOnce, func(ctx context.Context) error {
		inv, err := l.st.Look(ctx)
		if err == nil {
			l.st.found(inv)
		}
		return err
	})
	if err != nil {
		l.say("! %s", l.st.say(err.Error()))
	}
	return err == nil
}

// scan looks for wireless networks.
func (l *lines) scan() {
	l.say("%s", l.st.t("wifi.scanning"))
	err := l.during(atOnce, func(ctx context.Context) error {
		networks, err := l.st.Scan(ctx)
		l.st.heard(networks, err)
		return err
	})
	if err != nil {
		l.say("! %s", l.st.say(err.Error()))
	}
}

func (l *lines) testOrSave(what action) {
	switch what {
	case save:
		l.say("%s", l.st.saved())
		return
	case saveReport:
		l.say("%s", l.st.t("report.saving"))
		where, err := l.st.SaveReport(l.st.outcome)
		if err != nil {
			l.say("! %s", l.st.say(err.Error()))
			return
		}
		l.st.report = where
		l.say("%s", l.st.t("saved", l.st.say(where)))
		return
	}
	answers, err := l.st.answers()
	if err == nil {
		l.say("%s", l.st.t("network.testing"))
		err = l.during(atOnce, func(ctx context.Context) error {
			return l.st.Test(ctx, answers.Network, func(v probe.Verdict) { l.list([]row{verdictRow(l.st, v)}) })
		})
	}
	if err != nil {
		l.say("! %s", l.st.say(err.Error()))
	}
}

// atOnce is for what loses nothing when it ends.
func atOnce() bool { return true }
