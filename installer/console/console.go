package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// Consoles are all the places where a person may sit: every console that the
// kernel was told to use. What is said goes to each; what is asked is asked on
// each, and the first answer counts.
type Consoles struct{ files []*os.File }

// Open opens the consoles that the kernel lists as active, or /dev/console.
func Open() *Consoles {
	var c Consoles
	active, _ := os.ReadFile("/sys/class/tty/console/active")
	for _, name := range strings.Fields(string(active)) {
		if f, err := os.OpenFile("/dev/"+name, os.O_RDWR|unix.O_NOCTTY, 0); err == nil {
			c.files = append(c.files, f)
		}
	}
	if len(c.files) == 0 {
		if f, err := os.OpenFile("/dev/console", os.O_RDWR|unix.O_NOCTTY, 0); err == nil {
			c.files = append(c.files, f)
		}
	}
	return &c
}

// On gives consoles on terminals that are open already.
func On(ttys ...*os.File) *Consoles { return &Consoles{files: ttys} }

// Say writes one message on every console, each line marked as stek's.
func (c *Consoles) Say(format string, args ...any) {
	for line := range strings.Lines(fmt.Sprintf(format, args...) + "\n") {
		_, _ = c.Write([]byte("stek: " + line))
	}
}

// Show implements Shower: as text, and as a code for a camera. Both stay where they are
// written; nothing waits for a person.
func (c *Consoles) Show(about, text string) {
	c.Say("\n%s\n\n  %s\n", about, text)
	if drawn, err := QR(text); err == nil {
		_, _ = c.Write([]byte(drawn + "\n"))
	}
}

// Write writes plain text on every console, with the line ends that a raw terminal
// needs. A console that cannot be written to does not keep the others from it.
func (c *Consoles) Write(p []byte) (int, error) {
	text := strings.ReplaceAll(string(p), "\n", "\r\n")
	for _, f := range c.files {
		_, _ = f.WriteString(text)
	}
	return len(p), nil
}

// ErrNobody says that nobody typed anything in time.
var ErrNobody = errors.New("nobody typed anything")

// Ask puts a question on every console and returns the first line typed on any of
// them. What is typed is shown as stars. It gives up when ctx ends.
func (c *Consoles) Ask(ctx context.Context, question string) ([]byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan []byte, len(c.files))
	var wg sync.WaitGroup
	for _, f := range c.files {
		wg.Go(func() {
			if line, err := readLine(ctx, f, question, starred); err == nil {
				answers <- line
			}
		})
	}
	defer wg.Wait()
	defer cancel()
	select {
	case line := <-answers:
		return line, nil
	case <-ctx.Done():
		return nil, ErrNobody
	}
}

// Choose waits until somebody presses Enter on one of the consoles, and gives that one,
// with what was typed before. It gives up when ctx ends.
func (c *Consoles) Choose(ctx context.Context, question string) (tty *os.File, typed string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type choice struct {
		tty   *os.File
		typed string
	}
	chosen := make(chan choice, len(c.files))
	var wg sync.WaitGroup
	for _, f := range c.files {
		wg.Go(func() {
			if line, err := readLine(ctx, f, question, shown); err == nil {
				chosen <- choice{f, string(line)}
			}
		})
	}
	defer wg.Wait()
	defer cancel()
	select {
	case c := <-chosen:
		return c.tty, c.typed, nil
	case <-ctx.Done():
		return nil, "", ErrNobody
	}
}

const longestAnswer = 512 // bytes; a recovery key has 71

// echo is what a terminal shows of what is typed.
type echo bool

const (
	starred echo = false
	shown   echo = true
)

// readLine asks on a terminal and reads one line in raw mode. The question comes when the
// terminal shows nothing any more of what is typed: people, and serial lines with a paste
// buffer, are fast. It polls, so that a console on which nobody types can be left.
func readLine(ctx context.Context, tty *os.File, question string, shows echo) ([]byte, error) {
	fd := int(tty.Fd())
	if old, err := unix.IoctlGetTermios(fd, unix.TCGETS); err == nil {
		raw := *old
		raw.Lflag &^= unix.ICANON | unix.ECHO | unix.ISIG
		raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
		if err := unix.IoctlSetTermios(fd, unix.TCSETS, &raw); err == nil {
			defer func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, old) }()
		}
	}
	_, _ = tty.WriteString("\r\n" + question + " ")
	var line []byte
	typed, buf := Polled(ctx, tty), make([]byte, 64)
	for {
		n, err := typed.Read(buf)
		switch {
		case errors.Is(err, io.EOF):
			return nil, errors.New("the console was closed")
		case err != nil:
			return nil, err
		}
		var done bool
		var answer string
		line, answer, done = typeInto(line, buf[:n], shows)
		_, _ = tty.WriteString(answer)
		if done {
			return line, nil
		}
	}
}

// typeInto applies typed bytes to a line: what it is now, what the terminal is to show, and
// whether Enter ended it.
func typeInto(line, typed []byte, shows echo) (now []byte, answer string, done bool) {
	var e strings.Builder
	for _, b := range typed {
		switch {
		case b == '\r' || b == '\n':
			e.WriteString("\r\n")
			return line, e.String(), true
		case b == 0x7f || b == '\b':
			if len(line) > 0 {
				_, n := utf8.DecodeLastRune(line)
				line = line[:len(line)-n]
				e.WriteString("\b \b")
			}
		case b == 0x15: // Ctrl-U
			for range utf8.RuneCount(line) {
				e.WriteString("\b \b")
			}
			line = line[:0]
		case b < ' ' || len(line) >= longestAnswer:
		default:
			line = append(line, b)
			switch {
			case shows == shown:
				e.WriteByte(b)
			case utf8.RuneStart(b): // a star for each character, of however many bytes
				e.WriteString("*")
			}
		}
	}
	return line, e.String(), false
}
