package console

import (
	"context"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/creack/pty"
)

// A read ends with its context, and what is typed later is for whoever reads next.
func TestPolledEnds(t *testing.T) {
	person, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer person.Close()
	defer tty.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := Polled(ctx, tty).Read(make([]byte, 64))
		ended <- err
	}()
	time.Sleep(50 * time.Millisecond) // it waits
	cancel()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it does not end")
	}
	if _, err := io.WriteString(person, "for the next\n"); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	if n, err := Polled(t.Context(), tty).Read(buf); err != nil || string(buf[:n]) != "for the next\n" {
		t.Errorf("%q, %v", buf[:n], err)
	}
}

// All that there is is read, and then the end, of whatever kind the file is.
func TestPolledReadsAll(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) *os.File{
		"a pipe": func(t *testing.T) *os.File {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(w, "1\n2\n")
			w.Close()
			return r
		},
		"a file": func(t *testing.T) *os.File {
			path := t.TempDir() + "/answers"
			if err := os.WriteFile(path, []byte("1\n2\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			return f
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := open(t)
			defer f.Close()
			if all, err := io.ReadAll(Polled(t.Context(), f)); err != nil || string(all) != "1\n2\n" {
				t.Errorf("%q, %v", all, err)
			}
		})
	}
}

// A terminal at whose other end nobody is any more is at its end.
func TestPolledHungUp(t *testing.T) {
	person, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	person.Close()
	if n, err := Polled(t.Context(), tty).Read(make([]byte, 64)); n != 0 || err == nil {
		t.Errorf("%d bytes, %v", n, err)
	}
}
