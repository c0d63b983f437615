package console

import (
	"bytes"
	"context"
	"os"
	"testing"
	"time"

	"github.com/creack/pty"
)

func TestTypeInto(t *testing.T) {
	tests := []struct {
		name, typed, wantLine, wantEcho string
		wantDone                        bool
		shows                           echo
	}{
		{"a line", "abc\r", "abc", "***\r\n", true, starred},
		{"not finished", "ab", "ab", "**", false, starred},
		{"backspace", "ab\x7fc\n", "ac", "**\b \b*\r\n", true, starred},
		{"backspace on nothing", "\x7f\x08a\n", "a", "*\r\n", true, starred},
		{"start again", "ab\x15c\n", "c", "**\b \b\b \b*\r\n", true, starred},
		{"control characters are dropped", "a\x1b\x00b\n", "ab", "**\r\n", true, starred},
		{"characters of two bytes", "a\u00e9\u00fc\x7f\r", "a\u00e9", "***\b \b\r\n", true, starred},
		{"what follows Enter is left", "a\rb", "a", "*\r\n", true, starred},
		{"what may be seen", "l\u00e9\x7f\r", "l", "l\u00e9\b \b\r\n", true, shown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			line, echo, done := typeInto(nil, []byte(tt.typed), tt.shows)
			if string(line) != tt.wantLine || echo != tt.wantEcho || done != tt.wantDone {
				t.Errorf("got %q, %q, %v", line, echo, done)
			}
		})
	}
	if line, _, _ := typeInto(nil, bytes.Repeat([]byte("x"), 10_000), starred); len(line) != longestAnswer {
		t.Errorf("an endless line grew to %d bytes", len(line))
	}
}

func TestAskTakesTheFirstAnswerOfAnyConsole(t *testing.T) {
	var c Consoles
	var people []*os.File
	for range 2 {
		person, tty, err := pty.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer person.Close()
		defer tty.Close()
		c.files, people = append(c.files, tty), append(people, person)
	}
	go func() {
		time.Sleep(50 * time.Millisecond)
		_, _ = people[1].WriteString("secret\r")
	}()
	line, err := c.Ask(t.Context(), "Key?")
	if err != nil || string(line) != "secret" {
		t.Fatalf("got %q, %v", line, err)
	}
	seen := make([]byte, 256)
	n, _ := people[1].Read(seen)
	if bytes.Contains(seen[:n], []byte("secret")) {
		t.Errorf("the answer was shown: %q", seen[:n])
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := c.Ask(ctx, "Key?"); err != ErrNobody {
		t.Errorf("without an answer: %v", err)
	}
}

// TestFastTypist: whoever answers the moment the question is there sees stars.
func TestFastTypist(t *testing.T) {
	person, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer person.Close()
	defer tty.Close()
	for range 200 {
		seen := make(chan []byte)
		go func() {
			var all []byte
			buf := make([]byte, 256)
			for bytes.Count(all, []byte("*")) < len("secret") && !bytes.Contains(all, []byte("secret")) {
				n, err := person.Read(buf)
				if err != nil {
					break
				}
				if all = append(all, buf[:n]...); bytes.HasSuffix(all, []byte("Key? ")) {
					_, _ = person.WriteString("secret\r")
				}
			}
			seen <- all
		}()
		if line, err := On(tty).Ask(t.Context(), "Key?"); err != nil || string(line) != "secret" {
			t.Fatalf("got %q, %v", line, err)
		}
		if all := <-seen; bytes.Contains(all, []byte("secret")) {
			t.Fatalf("the answer was shown: %q", all)
		}
	}
}
