package tui

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/console"
	"github.com/stek-edge/stek/installer/hardware"
)

// stepView is a step as it is shown.
type stepView struct {
	name, words string
	kind        installer.EventKind // of its last event; empty: not begun
	done, total uint64              // bytes
	began, last time.Time
}

// question is what a step asks a person.
type question struct {
	text   string
	choose *console.NewSecret // nil: any text
	typed  string
	answer chan<- []byte
}

// take follows one event of the engine.
func (st *state) take(e installer.Event) {
	for i := range st.steps {
		s := &st.steps[i]
		if s.name != e.Step {
			continue
		}
		s.last = e.Time
		switch e.Kind {
		case installer.StepStarted:
			s.began = e.Time
			fallthrough
		case installer.StepDone, installer.StepSkipped, installer.StepFailed:
			s.kind = e.Kind
			// What a step said or showed, such as a key that is shown once, goes with it.
			st.said, st.about, st.shown = nil, "", ""
		case installer.StepProgress:
			s.done, s.total = e.Done, e.Total
		}
	}
	if e.Kind != installer.StepProgress {
		st.tell(e)
	}
}

// progress shows the steps, and what a step asks or says.
func progress(st *state) []row {
	var rows []row
	if st.shown != "" {
		rows = append(rows, row{kind: paragraph, text: st.say(st.about)}, row{kind: paragraph, text: st.shown})
	}
	if st.asked != nil {
		for _, text := range st.said {
			rows = append(rows, row{kind: paragraph, text: st.say(text)})
		}
		if c := st.asked.choose; c != nil {
			rows = append(rows, row{kind: paragraph, text: st.t("secret.now")})
			rows = append(rows, newSecret(st, c.Method, c.Least)...)
			return append(rows, row{kind: button, id: "continue", strict: true, text: st.t("continue"), do: func(*state) action { return answer }})
		}
		ask := row{kind: input, id: "answer", text: st.say(st.asked.text), value: st.asked.typed, secret: true,
			set: func(st *state, value string) { st.asked.typed = value }}
		rows = append(rows, ask, row{kind: button, id: "continue", text: st.t("continue"), do: func(*state) action { return answer }})
		if st.shown != "" && st.blocks {
			rows = append(rows, row{kind: button, id: "picture", text: st.t("picture"), do: func(*state) action { return show }})
		}
		return rows
	}
	for _, s := range st.steps {
		rows = append(rows, s.row(st))
	}
	for _, text := range last(st.said, 4) {
		rows = append(rows, row{kind: paragraph, text: st.say(text)})
	}
	return append(rows, row{kind: button, id: "stop", text: st.t("stop"), do: func(*state) action { return stop }})
}

func (s stepView) row(st *state) row {
	r := row{kind: finding, text: st.say(s.words)}
	switch s.kind {
	case installer.StepDone, installer.StepSkipped:
		r.light = installer.Green
	case installer.StepFailed:
		r.light = installer.Red
	case installer.StepStarted:
		r.light = installer.Yellow
		if s.total > 0 {
			r.note = s.bytes(st)
		}
	}
	return r
}

// bytes says how far a step is, how fast it goes, and how long it will take.
func (s stepView) bytes(st *state) string {
	share := float64(s.done) / float64(s.total)
	text := fmt.Sprintf("%s %3.0f %%  %s / %s", bar(share), share*100, hardware.Size(s.done), hardware.Size(s.total))
	taken := s.last.Sub(s.began)
	if taken <= 0 || s.done == 0 {
		return text
	}
	rate := float64(s.done) / taken.Seconds()
	left := time.Duration(float64(s.total-min(s.done, s.total)) / rate * float64(time.Second))
	return text + "  " + st.t("rate", hardware.Size(uint64(rate)), left.Round(time.Second))
}

// bar is drawn in ASCII, which every console has.
func bar(share float64) string {
	const width = 20
	full := min(max(int(share*width), 0), width)
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", width-full) + "]"
}

func last(lines []string, n int) []string { return lines[max(0, len(lines)-n):] }

// person is whom the engine's steps talk to: the one at the screen. Its messages go to
// the program, which is the only one that changes what is shown.
type person struct{ send func(any) }

type saidMsg string

type askedMsg struct{ question }

type shownMsg struct{ about, text string }

// Show implements console.Shower.
func (p person) Show(about, text string) { p.send(shownMsg{about, text}) }

// Say implements installer.Person.
func (p person) Say(format string, args ...any) { p.send(saidMsg(fmt.Sprintf(format, args...))) }

// Ask implements installer.Person.
func (p person) Ask(ctx context.Context, text string) ([]byte, error) {
	return p.ask(ctx, question{text: text})
}

func (p person) ask(ctx context.Context, q question) ([]byte, error) {
	reply := make(chan []byte, 1)
	q.answer = reply
	p.send(askedMsg{q})
	select {
	case b := <-reply:
		return b, nil
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), errors.New("nobody answered"))
	}
}
