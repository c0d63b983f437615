package tui

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/term"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/console"
	"github.com/stek-edge/stek/installer/network/probe"
)

// RunLines asks the same questions line by line, for a screen reader or a terminal that
// can do no more. The end of the input ends it with nothing done. The error is as Run's.
func RunLines(ctx context.Context, s Session, o Options) error {
	l := &lines{ctx: ctx, st: newState(s), in: o.Input, out: o.Output, typed: bufio.NewScanner(o.Input)}
	for at := 0; at < len(l.st.screens); {
		switch did, err := l.page(l.st.screens[at]); {
		case err != nil:
			return err
		case did == next:
			at++
		case did == back:
			at = 0
		case did == begin:
			return l.install()
		case did == leave:
			return nil
		}
	}
	return nil
}

// lines is the line mode.
type lines struct {
	ctx   context.Context
	st    *state
	in    io.Reader
	out   io.Writer
	typed *bufio.Scanner
}

func (l *lines) say(format string, args ...any) { fmt.Fprintf(l.out, format+"\n", args...) }

// read reads a line; the end of the input is the end of the program.
func (l *lines) read(question string) (string, error) {
	fmt.Fprintf(l.out, "%s: ", question)
	if l.ctx.Err() != nil || !l.typed.Scan() {
		l.say("\n%s", l.st.t("line.aborted"))
		return "", ErrLeft
	}
	return strings.TrimSpace(l.typed.Text()), nil
}

// page asks what is on one page, until nothing on it is wrong.
func (l *lines) page(s screen) (action, error) {
	for {
		l.say("\n== %s", l.st.t("title."+s.id))
		if s.id == "network" && l.st.Cards != nil {
			l.st.cards, _ = l.st.Cards(l.ctx) // without, the page shows what was there at the start
		}
		did, err := l.ask(s)
		if err != nil || did != stay {
			return did, err
		}
		l.say("%s", l.st.t("line.again"))
	}
}

// ask goes through the rows of a page in groups: a text, an input, or the options, the
// switches or the buttons that stand together. An answer may change the rows behind it.
func (l *lines) ask(s screen) (action, error) {
	for at := 0; ; {
		rows := s.rows(l.st)
		if at >= len(rows) {
			return stay, nil
		}
		group := together(rows[at:])
		did, err := l.group(rows, group)
		if err != nil || did != stay {
			return did, err
		}
		at += len(group)
	}
}

// together are the rows that are asked with one question.
func together(rows []row) []row {
	n := 1
	for ; n < len(rows); n++ {
		if rows[n].kind != rows[0].kind || rows[0].kind != option && rows[0].kind != check && rows[0].kind != button {
			break
		}
	}
	return rows[:n]
}

func (l *lines) group(page, group []row) (action, error) {
	switch r := group[0]; r.kind {
	case input:
		if r.lines {
			return stay, nil // nothing tells a pasted line from a typed one here
		}
		return stay, l.input(r, func() row { return l.same(r) })
	case option, check:
		l.list(group)
		return stay, l.choose(group)
	case button:
		if r.strict && faulty(page) {
			for _, r := range page {
				if r.fault != "" {
					l.say("! %s", r.fault)
				}
			}
			return stay, nil
		}
		return l.button(group)
	}
	l.list(group)
	return stay, nil
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

// input asks for a text, until it is right. Nothing typed keeps what is there. now is the
// row as it is after an answer.
func (l *lines) input(r row, now func() row) error {
	for {
		if r.note != "" {
			l.say("%s", r.note)
		}
		question := r.text
		if r.value != "" && !r.secret {
			question += " (" + l.st.t("line.keep", r.value) + ")"
		}
		read := l.read
		if r.secret {
			read = l.unseen
		}
		typed, err := read(question)
		if err != nil {
			return err
		}
		if typed == "" && (r.fault == "" || !r.secret) {
			return nil
		}
		r.set(l.st, typed)
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
func (l *lines) same(r row) row {
	for _, s := range l.st.screens {
		for _, now := range s.rows(l.st) {
			if now.kind == input && now.id == r.id {
				return now
			}
		}
	}
	return r
}

// choose asks for one option, or for the switches to turn.
func (l *lines) choose(rows []row) error {
	var open []row
	for _, r := range rows {
		if r.takesFocus() {
			open = append(open, r)
		}
	}
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
		typed, err := l.read(question)
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

// button asks which of the buttons; a single one that goes on is pressed by itself.
func (l *lines) button(rows []row) (action, error) {
	if len(rows) == 1 {
		return l.pressed(rows[0]), nil
	}
	for {
		l.list(rows)
		typed, err := l.read(l.st.t("line.choose"))
		if err != nil {
			return stay, err
		}
		if chosen, ok := numbers(typed, len(rows)); ok && len(chosen) == 1 {
			if did := l.pressed(rows[chosen[0]]); did != stay {
				return did, nil
			}
		}
	}
}

func (l *lines) pressed(r row) action {
	switch did := r.do(l.st); did {
	case save:
		l.say("%s", l.st.saved())
	case lookAgain:
		inv, err := l.st.Look(l.ctx)
		if err != nil {
			l.say("! %v", err)
			return stay
		}
		l.st.Inventory = inv
	case scanNetworks:
		networks, err := l.st.Scan(l.ctx)
		if l.st.heard(networks, err); err != nil {
			l.say("! %v", err)
		}
	case testNetwork:
		answers, err := l.st.answers()
		if err == nil {
			err = l.st.Test(l.ctx, answers.Network, func(v probe.Verdict) { l.list([]row{verdictRow(l.st, v)}) })
		}
		if err != nil {
			l.say("! %v", err)
		}
	default:
		return did
	}
	return stay
}

// install carries the plan out and prints what happens.
func (l *lines) install() error {
	p, answers, err := l.st.plan()
	if err == nil {
		err = l.st.Install(l.ctx, answers, p, l, installer.PlainLines(l.out))
	}
	l.st.outcome = err
	for _, r := range done(l.st) {
		if r.kind == finding {
			l.list([]row{r})
		}
	}
	return err
}

// Say implements installer.Person.
func (l *lines) Say(format string, args ...any) { l.say(format, args...) }

// Ask implements installer.Person.
func (l *lines) Ask(_ context.Context, question string) ([]byte, error) {
	typed, err := l.unseen(question)
	return []byte(typed), err
}

// unseen reads a line. On a terminal nothing is shown of what is typed.
func (l *lines) unseen(question string) (string, error) {
	f, ok := l.in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return l.read(question)
	}
	fmt.Fprintf(l.out, "%s ", question)
	defer l.say("")
	typed, err := term.ReadPassword(int(f.Fd()))
	return string(typed), err
}

// Choose implements console.Chooser: the page about encryption has asked, or else it is
// asked now.
func (l *lines) Choose(_ context.Context, n console.NewSecret) ([]byte, error) {
	rows := func() []row { return newSecret(l.st, n.Method, n.Least) }
	for !l.st.pair(n.Method).good(n.Least) {
		for i := range rows() {
			if err := l.input(rows()[i], func() row { return rows()[i] }); err != nil {
				return nil, fmt.Errorf("asking for the %s: %w", n.What, err)
			}
		}
	}
	return []byte(l.st.pair(n.Method).first), nil
}
