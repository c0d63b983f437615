package vm

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// guestEnd gives a console and the end that a guest would write to.
func guestEnd(t *testing.T, fatal ...string) (*Console, net.Conn, string) {
	t.Helper()
	ours, theirs := net.Pipe()
	path := filepath.Join(t.TempDir(), "console.log")
	log, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	var patterns []*regexp.Regexp
	for _, p := range fatal {
		patterns = append(patterns, regexp.MustCompile(p))
	}
	c := newConsole(ours, log, time.Now(), patterns)
	t.Cleanup(func() { theirs.Close(); c.wait(time.Second) })
	return c, theirs, path
}

func say(t *testing.T, guest net.Conn, text string) {
	t.Helper()
	if _, err := guest.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func TestExpectReadsOnBehindTheMatch(t *testing.T) {
	c, guest, _ := guestEnd(t)
	say(t, guest, "step 1 done, step 2 done\nstep 3 ")
	for _, want := range []string{"1", "2"} {
		m, err := c.Expect(t.Context(), `step (\d) done`)
		if err != nil || m.Groups[0] != want {
			t.Fatalf("match %+v (%v), want step %s", m, err, want)
		}
	}
	if m, err := c.Expect(soon(t), `step`); err == nil {
		t.Errorf("Expect took the unfinished line: %+v", m)
	}
	if m, err := c.ExpectPrompt(t.Context(), `step (\d) $`); err != nil || m.Groups[0] != "3" {
		t.Errorf("ExpectPrompt found %+v (%v)", m, err)
	}
	say(t, guest, "done\n")
	if m, err := c.Expect(t.Context(), `done`); err != nil || m.Line != "step 3 done" {
		t.Errorf("the rest of the line gave %+v (%v)", m, err)
	}
}

func TestExpectChoosesTheLeftmostAlternative(t *testing.T) {
	c, guest, _ := guestEnd(t)
	say(t, guest, "error: cannot find the disk\n")
	m, err := c.Expect(t.Context(), `disk`, `never`, `error: (.*)`)
	if err != nil || m.Alternative != 2 || m.Groups[0] != "cannot find the disk" {
		t.Errorf("match %+v (%v), want alternative 2", m, err)
	}
}

func TestExpectFails(t *testing.T) {
	tests := []struct {
		name  string
		guest func(guest net.Conn)
		cause error
	}{
		{"nothing comes in time", func(net.Conn) {}, context.DeadlineExceeded},
		{"the box powers off", func(g net.Conn) { g.Close() }, ErrOff},
		{"a fatal line comes", func(g net.Conn) { g.Write([]byte("Kernel panic - not syncing: Attempted to kill init!\n")) }, ErrFatal},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, guest, _ := guestEnd(t, fatalAlways...)
			say(t, guest, "the line before\n")
			test.guest(guest)
			_, err := c.Expect(soon(t), `never`)
			if !errors.Is(err, test.cause) {
				t.Fatalf("error is %v, want %v", err, test.cause)
			}
			if !strings.Contains(err.Error(), "the line before") || !strings.Contains(err.Error(), "never") {
				t.Errorf("the error lacks the last lines or the pattern: %v", err)
			}
		})
	}
}

func TestExpectedPanicIsNoFault(t *testing.T) {
	c, guest, _ := guestEnd(t, fatalAlways...)
	say(t, guest, "Kernel panic - not syncing: VFS\n")
	if _, err := c.Expect(t.Context(), `panic.*VFS`); err != nil {
		t.Errorf("a panic that was expected: %v", err)
	}
}

func TestConsoleLogIsPlainWithTimes(t *testing.T) {
	c, guest, path := guestEnd(t)
	say(t, guest, "\x1b[32mgreen\x1b[m\r\nlast without an end")
	guest.Close()
	c.wait(5 * time.Second)
	log, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`^\[ +\d+\.\d{3}\] green\n\[ +\d+\.\d{3}\] last without an end\n$`)
	if !want.Match(log) {
		t.Errorf("the log is %q", log)
	}
}

func TestSendEndsWithCarriageReturn(t *testing.T) {
	c, guest, _ := guestEnd(t)
	go c.Send("secret")
	typed := make([]byte, 7)
	if _, err := guest.Read(typed); err != nil || string(typed) != "secret\r" {
		t.Errorf("the guest got %q (%v)", typed, err)
	}
}
