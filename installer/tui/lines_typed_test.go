package tui

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/preseed"
)

// atDisk is the line mode where everything is answered for a machine's disk.
func atDisk(t *testing.T, s Session, who *typist) *lines {
	t.Helper()
	s.Values["disk.match.serial"] = []string{"S676NF0R412345"}
	l := &lines{ctx: t.Context(), st: newState(s), out: io.Discard, typist: who}
	l.st.typed = "2345"
	return l
}

// terminal is a person's side of a terminal, and the program's.
func terminal(t *testing.T) (person, tty *os.File) {
	t.Helper()
	person, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close(); tty.Close() })
	return person, tty
}

// What was typed at a terminal while the steps were at work presses no button on the page behind
// them; what a script has written does.
func TestTypedAheadOfTheEnd(t *testing.T) {
	_, tty := terminal(t)
	for name, tt := range map[string]struct {
		tty  *os.File
		left int
	}{"a terminal": {tty, 0}, "a script": {nil, 2}} {
		t.Run(name, func(t *testing.T) {
			who := &typist{tty: tt.tty, typed: make(chan string, aheadOfQuestions), stops: make(chan struct{}, 1)}
			s, begun := session(t, "raid-server"), false
			s.Install = func(context.Context, *preseed.Answers, *installer.Plan, installer.Person, installer.Emit) error {
				begun = true
				who.typed <- "1"
				who.typed <- "1"
				return errors.New("the disk is gone")
			}
			atDisk(t, s, who).begin()
			if !begun || len(who.typed) != tt.left {
				t.Errorf("begun: %v, and %d lines are left", begun, len(who.typed))
			}
		})
	}
}

// Nothing that was typed at a terminal before Ctrl-C answers what that asks.
func TestTypedAheadOfCtrlC(t *testing.T) {
	const typed = "1\n1\n\x03"
	person, tty := terminal(t)
	for name, tt := range map[string]struct {
		in   io.Reader
		left int
	}{"a terminal": {tty, 0}, "a script": {strings.NewReader(typed), 2}} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			who := listen(ctx, tt.in)
			defer who.gone()
			defer cancel()
			defer who.byLines()()
			if tt.in == tty {
				_, _ = io.WriteString(person, typed)
			}
			<-who.stops
			if len(who.typed) != tt.left {
				t.Errorf("%d lines are left", len(who.typed))
			}
		})
	}
}

// A Ctrl-C from before ends nothing that begins afterwards; one that comes then does.
func TestStopFromBefore(t *testing.T) {
	for name, tt := range map[string]struct {
		again bool
		want  error
	}{"from before": {false, nil}, "and again": {true, context.Canceled}} {
		t.Run(name, func(t *testing.T) {
			who := &typist{stops: make(chan struct{}, 1)}
			who.stops <- struct{}{}
			err := atDisk(t, session(t, "raid-server"), who).during(atOnce, func(ctx context.Context) error {
				wait := 100 * time.Millisecond
				if tt.again {
					who.stops <- struct{}{}
					wait = 10 * time.Second
				}
				select {
				case <-ctx.Done():
				case <-time.After(wait):
				}
				return ctx.Err()
			})
			if !errors.Is(err, tt.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

// A stick may take its time: it is said before that the report is saved.
func TestLinesSayThatTheReportIsSaved(t *testing.T) {
	s := session(t, "raid-server")
	var out bytes.Buffer
	before := ""
	s.SaveReport = func(error) (string, error) {
		before = out.String()
		return "stek/reports/S1", nil
	}
	l := atDisk(t, s, &typist{})
	l.out = &out
	l.testOrSave(saveReport)
	if want := l.st.t("report.saving"); !strings.Contains(before, want) || !strings.Contains(out.String(), "saved: stek/reports/S1") {
		t.Errorf("%q is said before, and then %q", before, out.String())
	}
}

// A long line, such as a certificate, is no end of the input; one without end is.
func TestTypedLength(t *testing.T) {
	for size, want := range map[int]string{100 << 10: "line, line, end", 2 * longestTyped: "end"} {
		who, got := listen(t.Context(), strings.NewReader(strings.Repeat("x", size)+"\n1\n")), ""
		for range who.typed {
			got += "line, "
		}
		if got += "end"; got != want {
			t.Errorf("%d bytes: %s", size, got)
		}
	}
}

// When the line mode has ended nothing of it reads any more, also where the input goes on:
// what is typed then is for whoever asks next.
func TestNothingReadsBehindTheLineMode(t *testing.T) {
	for _, tt := range []struct {
		name string
		open func(t *testing.T) (person, in *os.File)
		end  func(person *os.File, out *seen, cancel func())
		left bool // some of what was typed is there still
	}{
		{"left at a terminal", terminal, func(person *os.File, out *seen, _ func()) {
			_, _ = io.WriteString(person, "\x03")
			out.waitFor("2. Yes, stop")
			_, _ = io.WriteString(person, "\x03")
		}, false},
		{"ended from elsewhere at a terminal", terminal, func(_ *os.File, _ *seen, cancel func()) { cancel() }, false},
		{"ended from elsewhere at a pipe", pipe, func(_ *os.File, _ *seen, cancel func()) { cancel() }, false},
		{"lines that nobody asks for any more", pipe, func(person *os.File, _ *seen, cancel func()) {
			_, _ = io.WriteString(person, strings.Repeat("\n", 2*aheadOfQuestions))
			cancel()
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			person, in := tt.open(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			out, ended := &seen{t: t}, make(chan error, 1)
			go func() { ended <- RunLines(ctx, session(t, "raid-server"), Options{Input: in, Output: out}) }()
			out.waitFor("Number (Enter keeps 1): ")
			tt.end(person, out, cancel)
			select {
			case err := <-ended:
				if !errors.Is(err, ErrLeft) {
					t.Errorf("%v", err)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("it does not end")
			}
			// What it has told that it ends by is its last line, and it may still be in it.
			for deadline := time.Now().Add(10 * time.Second); strings.Contains(goroutines(), "tui.listen"); time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("one is left:\n%s", goroutines())
				}
			}
			if tt.left {
				return
			}
			_, _ = io.WriteString(person, "next\n")
			buf := make([]byte, 64)
			if n, err := in.Read(buf); err != nil || string(buf[:n]) != "next\n" {
				t.Errorf("read behind it: %q, %v", buf[:n], err)
			}
		})
	}
}

// pipe is a script that goes on, and the program's side of it.
func pipe(t *testing.T) (person, in *os.File) {
	t.Helper()
	in, person, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close(); in.Close() })
	return person, in
}

// seen is what a program has written.
type seen struct {
	t   *testing.T
	mu  sync.Mutex
	all bytes.Buffer
}

func (s *seen) Write(text []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.Write(text)
}

func (s *seen) waitFor(text string) {
	s.t.Helper()
	for late := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		s.mu.Lock()
		now := s.all.String()
		s.mu.Unlock()
		switch {
		case strings.Contains(now, text):
			return
		case time.Now().After(late):
			s.t.Fatalf("%q is not there:\n%s", text, now)
		}
	}
}

// goroutines are the stacks of all that run.
func goroutines() string {
	buf := make([]byte, 1<<20)
	return string(buf[:runtime.Stack(buf, true)])
}
