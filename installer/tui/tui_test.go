package tui

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/preseed"
)

// TestConsent: the installation begins only after the end of the serial number was typed.

func TestConsent(t *testing.T) {
	for _, tt := range []struct {
		name, typed string
		begins      bool
	}{
		{"nothing", "", false},
		{"another disk's", "0001", false},
		{"too little", "05", false},
		{"the disk's", "", true},
		{"in small letters", "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			began := false
			s := session(t, "raid-server")
			s.Install = func(_ context.Context, a *preseed.Answers, p *installer.Plan, _ installer.Person, _ installer.Emit) error {
				began = a.Disk.Erase && p.Disk.Chosen.Serial != ""
				return nil
			}
			a := newApp(t.Context(), s, look{mono: true})
			a.send = func(tea.Msg) {}
			toReview(t, a, "SAMSUNG")
			typed := tt.typed
			if tt.begins {
				typed = confirmation(mustPlan(t, a))
			}
			if tt.name == "in small letters" {
				typed = strings.ToLower(typed)
			}
			for i, r := range a.rows {
				if r.id == "confirm" {
					a.goTo(i)
				}
			}
			typeText(t, a, typed)
			for i, r := range a.rows {
				if r.text == a.st.t("install") {
					a.goTo(i)
				}
			}
			if cmd := press(t, a, "enter"); cmd != nil {
				a.Update(cmd())
			}
			if !tt.begins && a.rows[a.focus].id != "confirm" {
				t.Errorf("what is to be mended does not have the focus:\n%s", plain(a))
			}
			if began != tt.begins {
				t.Errorf("typed %q: begun %v, want %v\n%s", typed, began, tt.begins, plain(a))
			}
		})
	}
}

// TestAnswersStay: after going back and after a failure everything is as it was.

func TestAnswersStay(t *testing.T) {
	s := session(t, "raid-server")
	fails := errors.New("the disk is gone")
	s.Install = func(context.Context, *preseed.Answers, *installer.Plan, installer.Person, installer.Emit) error {
		return fails
	}
	a := newApp(t.Context(), s, look{mono: true})
	a.send = func(tea.Msg) {}
	for a.page().id != "node" {
		if a.page().id == "disk" {
			choose(t, a, "SAMSUNG")
		}
		ahead(t, a)
	}
	a.goTo(0)
	press(t, a, "ctrl+u")
	typeText(t, a, "quay-q7?") // neither q nor ? is a command while somebody types
	if a.overlay != nothing || a.st.draft.one("node.name") != "quay-q7?" {
		t.Fatalf("typed: %q", a.st.draft.one("node.name"))
	}
	if !strings.Contains(plain(a), "! ") {
		t.Errorf("a name with a question mark has no fault beside it:\n%s", plain(a))
	}
	press(t, a, "backspace")
	press(t, a, "esc", "esc", "esc", "esc")
	toReview(t, a, "SAMSUNG")
	if got := a.st.draft.one("node.name"); got != "quay-q7" {
		t.Errorf("after going back the name is %q", got)
	}
	typeInto(t, a, "confirm", "2345")
	a.Update(a.begin()())
	if a.page().id != "failed" || !strings.Contains(plain(a), "the disk is gone") {
		t.Fatalf("after a failure:\n%s", plain(a))
	}
	press(t, a, "esc")
	if a.page().id != "disk" || a.st.draft.one("node.name") != "quay-q7" {
		t.Errorf("to change the answers: page %s, name %q", a.page().id, a.st.draft.one("node.name"))
	}
}

// TestStop: Ctrl-C asks, and a yes stops the steps.

func TestStop(t *testing.T) {
	s := session(t, "raid-server")
	s.Install = func(ctx context.Context, _ *preseed.Answers, _ *installer.Plan, _ installer.Person, _ installer.Emit) error {
		<-ctx.Done()
		return ctx.Err()
	}
	a := newApp(t.Context(), s, look{mono: true})
	a.send = func(tea.Msg) {}
	toReview(t, a, "SAMSUNG")
	typeInto(t, a, "confirm", "2345")
	work := a.begin()
	ended := make(chan tea.Msg, 1)
	go func() { ended <- work() }()
	press(t, a, "ctrl+c", "enter") // the first button goes on
	if a.overlay != nothing || a.st.phase != working {
		t.Fatal("No does not go on")
	}
	press(t, a, "ctrl+c", "down", "enter")
	a.Update(<-ended)
	if a.st.phase != over || !errors.Is(a.st.outcome, context.Canceled) {
		t.Errorf("after Yes: phase %v, outcome %v", a.st.phase, a.st.outcome)
	}
}

// TestPerson: what a step asks is asked on the screen, unseen, and the answer gets back.

func TestPerson(t *testing.T) {
	a := newApp(t.Context(), session(t, "raid-server"), look{mono: true})
	msgs := make(chan tea.Msg, 8)
	a.send = func(m tea.Msg) { msgs <- m }
	toReview(t, a, "SAMSUNG")
	a.st.start(mustPlan(t, a))
	a.over(nothing)
	p := person{func(m any) { a.send(m) }}
	got := make(chan string, 1)
	go func() {
		p.Show("The key", "The key is abc.")
		b, err := p.Ask(t.Context(), "Type the first group:")
		got <- fmt.Sprint(string(b), err)
	}()
	a.Update(<-msgs)
	a.Update(<-msgs)
	typeText(t, a, "secret")
	frame := plain(a)
	if !strings.Contains(frame, "The key is abc.") || !strings.Contains(frame, "Type the first group:") || !strings.Contains(frame, "******") || strings.Contains(frame, "secret") {
		t.Errorf("the question:\n%s", frame)
	}
	choose(t, a, a.st.t("picture"))
	if frame := plain(a); !strings.Contains(frame, "█") || strings.Contains(frame, "The key is abc.") {
		t.Errorf("the picture:\n%s", frame)
	}
	press(t, a, "esc")
	choose(t, a, a.st.t("continue"))
	if answer := <-got; answer != "secret<nil>" {
		t.Errorf("the step got %q", answer)
	}
	if !strings.Contains(plain(a), "The key is abc.") {
		t.Error("what the step said is gone before it has ended")
	}
	a.Update(eventMsg{Kind: installer.StepDone, Step: installer.StepCheck})
	if strings.Contains(plain(a), "The key is abc.") {
		t.Error("what the step said is still there when it has ended")
	}
}

// TestHomeEnd: to the first and the last line that takes the focus.

func TestHomeEnd(t *testing.T) {
	a := newApp(t.Context(), session(t, "raid-server"), look{mono: true})
	a.open(a.st.at("network"))
	press(t, a, "home")
	if got := a.rows[a.focus].text; got != a.st.t("network.dhcp") {
		t.Errorf("home leads to %q", got)
	}
	press(t, a, "end")
	if got := a.rows[a.focus].text; got != a.st.t("continue") {
		t.Errorf("end leads to %q", got)
	}
}

// TestLook: what a terminal can show.

func TestLook(t *testing.T) {
	for _, tt := range []struct {
		name string
		env  []string
		want look
	}{
		{"a desk", []string{"TERM=xterm-256color", "LANG=nl_NL.UTF-8"}, look{}},
		{"a serial line", []string{"TERM=vt220", "LANG=C.UTF-8"}, look{ascii: true, mono: true}},
		{"the console", []string{"TERM=linux", "LANG=C.UTF-8"}, look{}},
		{"an old locale", []string{"TERM=xterm", "LANG=de_DE.UTF-8", "LC_ALL=C"}, look{ascii: true}},
		{"no colours", []string{"TERM=xterm", "LANG=C.utf8", "NO_COLOR=1"}, look{mono: true}},
		{"nothing", nil, look{ascii: true, mono: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := lookOf(tt.env); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

// TestNoSize: a terminal of 0 by 0 gets a page.

func TestNoSize(t *testing.T) {
	if got := sized(nil, tea.WindowSizeMsg{}); got != (tea.WindowSizeMsg{Width: 80, Height: 24}) {
		t.Errorf("%+v", got)
	}
}
