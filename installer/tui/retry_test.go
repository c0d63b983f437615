package tui

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/preseed"
	"github.com/stek-edge/stek/test/machines"
)

// afterFailure is a program whose installation has failed. What it starts is carried out when
// the test says so.
type afterFailure struct {
	*app
	t             *testing.T
	looks, begins int
	started       []tea.Cmd
}

func failed(t *testing.T) *afterFailure {
	t.Helper()
	f := &afterFailure{t: t}
	s := session(t, "raid-server")
	s.Look = func(context.Context) (*hardware.Inventory, error) {
		f.looks++
		inv := machines.Load(t, "raid-server")
		inv.Memory++ // it is another look
		return inv, nil
	}
	s.Install = func(context.Context, *preseed.Answers, *installer.Plan, installer.Person, installer.Emit) error {
		f.begins++
		return nil
	}
	f.app = newApp(t.Context(), s, look{mono: true})
	f.send = func(tea.Msg) {}
	toReview(t, f.app, "SAMSUNG")
	typeInto(t, f.app, "confirm", "2345")
	f.Update(endMsg{err: errors.New("the disk is gone")})
	return f
}

func (f *afterFailure) keys(names ...string) {
	f.t.Helper()
	for _, name := range names {
		f.started = append(f.started, f.update(keyNamed(name)))
	}
}

// settle carries out what was started, and what comes of it.
func (f *afterFailure) settle() {
	for len(f.started) > 0 {
		cmd := f.started[0]
		f.started = f.started[1:]
		if cmd == nil {
			continue
		}
		if msg := cmd(); msg != nil {
			f.started = append(f.started, f.update(msg))
		}
	}
}

// A further try begins once, however often it is asked for, and only where somebody still
// waits for it.
func TestRetry(t *testing.T) {
	for _, tt := range []struct {
		name          string
		keys          []string
		looks, begins int
		page          string
	}{
		{"Enter", []string{"enter"}, 1, 1, "done"},
		{"Enter twice", []string{"enter", "enter"}, 1, 1, "done"},
		{"Enter, and back to the answers", []string{"enter", "esc"}, 1, 0, "disk"},
		{"Enter, and the button that changes them", []string{"enter", "down", "enter"}, 1, 0, "disk"},
		{"back to the answers", []string{"esc"}, 1, 0, "disk"},
		{"Enter, and the question whether to stop", []string{"enter", "ctrl+c"}, 1, 0, "quit"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := failed(t)
			memory := f.st.Inventory.Memory
			f.keys(tt.keys...)
			f.settle()
			if f.looks != tt.looks || f.begins != tt.begins || f.page().id != tt.page {
				t.Errorf("%d looks, begun %d times, page %s", f.looks, f.begins, f.page().id)
			}
			if f.st.Inventory.Memory == memory {
				t.Error("what was found is not shown")
			}
		})
	}
}

// Who went back to the answers while the machine was looked at can begin again; what the look
// finds while the steps are at work changes nothing.
func TestLookEndsWhileInstalling(t *testing.T) {
	f := failed(t)
	f.keys("esc")
	memory := f.st.Inventory.Memory
	begun := f.begin()
	f.settle()
	if f.st.Inventory.Memory != memory || f.st.phase != working {
		t.Errorf("phase %v, and the machine is another one", f.st.phase)
	}
	f.started = append(f.started, begun)
	f.settle()
	if f.begins != 1 || f.page().id != "done" {
		t.Errorf("begun %d times, page %s", f.begins, f.page().id)
	}
}

// The installation ends while somebody answers something else: the key that was meant for that
// does nothing else, and the next one does.
func TestEndUnderSomethingElse(t *testing.T) {
	for _, tt := range []struct{ name, open, key string }{
		{"No, go on", "ctrl+c", "enter"},
		{"Esc for no", "ctrl+c", "esc"},
		{"the keys are read", "f1", "enter"},
		{"the log is read", "f2", "space"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := failed(t)
			f.st.start(mustPlan(t, f.app))
			f.over(nothing)
			f.keys(tt.open)
			f.update(endMsg{err: errors.New("the disk is gone")})
			f.refresh() // whatever comes meanwhile
			f.keys(tt.key)
			f.settle()
			if f.looks != 0 || f.page().id != "failed" {
				t.Fatalf("%d looks, page %s", f.looks, f.page().id)
			}
			f.keys("enter")
			f.settle()
			if f.begins != 1 {
				t.Errorf("begun %d times with the next key", f.begins)
			}
		})
	}
}

// While a further try is about to begin, no report of the one before is written; and what comes
// of one that was written stands on no page of the steps.
func TestReportUnderRetry(t *testing.T) {
	f, saves := failed(t), 0
	f.st.SaveReport = func(error) (string, error) { saves++; return "stek/reports/S1", nil }
	f.keys("enter", "down", "down", "enter")
	f.settle()
	if saves > 0 || f.begins != 1 {
		t.Errorf("saved %d times, begun %d times", saves, f.begins)
	}
	for _, msg := range []reportMsg{{where: "stek/reports/S1"}, {err: errors.New("the stick is gone")}} {
		f.st.start(mustPlan(t, f.app))
		f.update(msg)
		if f.st.notice != "" || f.st.saving {
			t.Errorf("it says %q while steps are at work", f.st.notice)
		}
	}
}

// Who leaves the questions after a failure has seen the installation fail.
func TestLeaveAfterFailure(t *testing.T) {
	f := failed(t)
	f.keys("esc")
	f.settle()
	f.keys("ctrl+c", "down", "enter")
	if err := f.result(); !f.left || errors.Is(err, ErrLeft) || err != f.st.outcome {
		t.Errorf("left %v, and it ends with %v", f.left, err)
	}
}

// A step's question waits until it is answered whether to stop.
func TestQuestionUnderStop(t *testing.T) {
	f := failed(t)
	f.st.start(mustPlan(t, f.app))
	f.over(nothing)
	f.keys("ctrl+c")
	reply := make(chan []byte, 1)
	f.update(askedMsg{question{text: "Type the first group:", answer: reply}})
	if f.page().id != "quit" {
		t.Fatalf("page %s", f.page().id)
	}
	f.keys("enter") // no
	if f.page().id != "progress" || f.edited != "answer" || len(reply) > 0 {
		t.Errorf("page %s, what is typed goes to %q, %d answers", f.page().id, f.edited, len(reply))
	}
}

// The report is where it was written, and nowhere else; saved by a person it is where that
// says, or there is a reason.
func TestSaveReport(t *testing.T) {
	for _, tt := range []struct {
		name, first string // where it is before
		where       string
		err         error
		says        []string
		not         string
	}{
		{"written all the time", "stek/reports/S1", "stek/reports/S1", nil, []string{"The report is in stek/reports/S1.", "saved: stek/reports/S1"}, ""},
		{"written at last", "", "stek/reports/S1 on the disk", nil, []string{"The report is in stek/reports/S1 on the disk.", "saved: "}, ""},
		{"written nowhere", "", "", errors.New("the stick is gone; take a picture"), []string{"the stick is gone; take a picture"}, "The report is in"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, saves := failed(t), 0
			lost := errors.New("the disk is gone")
			f.update(endMsg{err: lost, report: tt.first})
			if got := strings.Contains(plain(f.app), "The report is in"); got != (tt.first != "") {
				t.Errorf("before: %v:\n%s", got, plain(f.app))
			}
			f.st.SaveReport = func(outcome error) (string, error) {
				if saves++; outcome != lost {
					t.Errorf("of a try that ended %v", outcome)
				}
				return tt.where, tt.err
			}
			f.keys("down", "down", "enter", "enter")
			if !strings.Contains(plain(f.app), f.st.t("report.saving")) {
				t.Errorf("while saving:\n%s", plain(f.app))
			}
			f.keys("up", "up", "enter") // not before the report is written
			f.settle()
			page := plain(f.app)
			for _, text := range tt.says {
				if !strings.Contains(page, text) {
					t.Errorf("it does not say %q:\n%s", text, page)
				}
			}
			if saves != 1 || f.looks != 0 || tt.not != "" && strings.Contains(page, tt.not) {
				t.Errorf("saved %d times, %d looks:\n%s", saves, f.looks, page)
			}
			f.keys("enter")
			if f.settle(); f.begins != 1 {
				t.Errorf("begun %d times afterwards", f.begins)
			}
		})
	}
}

// TestAfterATry: what may follow a try, and what is asked again, is one rule, and both front
// ends follow it.
func TestAfterATry(t *testing.T) {
	lost := errors.New("the disk is gone")
	same := func(*hardware.Inventory) {}
	for _, tt := range []struct {
		name    string
		outcome error
		sees    func(now *hardware.Inventory) // nil: nothing looks
		failed  bool
		page    string // after a further try was asked for; empty: none can be
		begins  int
	}{
		{"a failure", lost, same, true, "done", 1},
		{"a failure, and nothing to look with", lost, nil, true, "done", 1},
		{"the disk is back under another name", lost, func(now *hardware.Inventory) { chosenOf(now).Path = "/dev/nvme9n1" }, true, "done", 1},
		{"another disk", lost, func(now *hardware.Inventory) { chosenOf(now).Serial = "S676NF0R419999" }, true, "failed", 0},
		{"another disk with answers that fit both", lost, func(now *hardware.Inventory) {
			chosenOf(now).Serial = "S676NF0R419999"
		}, true, "review", 0},
		{"a restart on the way", installer.ErrRestart, same, false, "", 0},
		{"installed", nil, same, false, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			begins := 0
			of := func() Session {
				s := session(t, "raid-server")
				s.Values["disk.match.serial"] = []string{"S676NF0R412345"}
				if tt.page == "review" {
					delete(s.Values, "disk.match.serial")
					s.Values["disk.match.bus"] = []string{"nvme"}
				}
				s.Install = func(context.Context, *preseed.Answers, *installer.Plan, installer.Person, installer.Emit) error {
					begins++
					return nil
				}
				if tt.sees != nil {
					s.Look = func(context.Context) (*hardware.Inventory, error) {
						now := machines.Load(t, "raid-server")
						tt.sees(now)
						return now, nil
					}
				}
				return s
			}
			a := &afterFailure{app: newApp(t.Context(), of(), look{mono: true}), t: t}
			a.send = func(tea.Msg) {}
			l := &lines{ctx: t.Context(), st: newState(of()), out: io.Discard, typist: &typist{}}
			for _, st := range []*state{a.st, l.st} {
				st.typed = "2345"
				st.pair("tpm2").first = "kas 4711"
				st.end(tt.outcome)
				if looks := tt.failed && tt.sees != nil; st.failed() != tt.failed || st.looksFirst() != looks || st.restarts() != (tt.outcome == installer.ErrRestart) {
					t.Fatalf("failed %v, looks first %v, restarts %v", st.failed(), st.looksFirst(), st.restarts())
				}
			}
			if !tt.failed {
				return
			}
			a.started = append(a.started, a.begin())
			a.settle()
			l.begin()
			if a.page().id != tt.page || l.st.page(l.st.at("review")).id != tt.page || begins != 2*tt.begins {
				t.Errorf("page %s and %s, begun %d times together", a.page().id, l.st.page(l.st.at("review")).id, begins)
			}
			for _, st := range []*state{a.st, l.st} {
				if st.typed != "2345" || st.pair("tpm2").first != "kas 4711" || len(st.draft.below("disk.match")) != 1 {
					t.Errorf("kept: %q, a secret %v, %v", st.typed, st.pair("tpm2").first != "", st.draft.values)
				}
				st.end(lost)
				if at := st.change(); st.page(at).id != "disk" {
					t.Errorf("the answers are changed from page %s on", st.page(at).id)
				}
			}
		})
	}
}

// Nothing begins without consent, whichever way it was asked for.
func TestNothingBeginsWithoutConsent(t *testing.T) {
	s := session(t, "raid-server")
	s.Values["disk.match.serial"] = []string{"S676NF0R412345"}
	s.Install = func(context.Context, *preseed.Answers, *installer.Plan, installer.Person, installer.Emit) error {
		t.Error("it has begun")
		return nil
	}
	a := newApp(t.Context(), s, look{mono: true})
	l := &lines{ctx: t.Context(), st: newState(s), out: io.Discard, typist: &typist{}}
	if cmd := a.begin(); cmd != nil {
		cmd()
	}
	l.begin()
	if a.page().id != "review" || a.st.phase != asking || l.st.phase != asking {
		t.Errorf("page %s, phases %v and %v", a.page().id, a.st.phase, l.st.phase)
	}
}

// chosenOf is the disk that the answers of these tests take.
func chosenOf(inv *hardware.Inventory) *hardware.Disk {
	for i := range inv.Disks {
		if inv.Disks[i].Serial == "S676NF0R412345" {
			return &inv.Disks[i]
		}
	}
	return nil
}

// What is found while steps are at work is for none of the questions.
func TestFoundWhileWorking(t *testing.T) {
	for p, taken := range map[phase]bool{asking: true, working: false, over: true} {
		st, inv := newState(session(t, "raid-server")), machines.Load(t, "vm")
		st.phase = p
		if got := st.found(inv); got != taken || (st.Inventory == inv) != taken {
			t.Errorf("phase %v: %v", p, got)
		}
	}
}
