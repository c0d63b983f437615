package tui

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
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
			who := listen(t.Context(), tt.in)
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
