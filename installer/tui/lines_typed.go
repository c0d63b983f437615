package tui

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/installer/console"
)

// ctrlC is what the key gives where the terminal sends no signal for it.
const ctrlC = 0x03

// errStop says that a person has pressed Ctrl-C.
var errStop = errors.New("Ctrl-C")

// typist is whoever answers in the line mode. What is typed is read all the time, so that
// Ctrl-C is seen also while nothing is asked.
type typist struct {
	tty   *os.File      // nil: what is typed comes from no terminal
	typed chan string   // closed at the end of the input
	stops chan struct{} // Ctrl-C
	file  bool          // reading ends when nobody waits for what is typed
}

// aheadOfQuestions is how many lines may be typed before they are asked for.
const aheadOfQuestions = 64

// longestTyped bounds a line, bytes. A longer one ends the input.
const longestTyped = 1 << 20

// listen reads until the input ends, or ctx does. Of a file, such as a terminal, nothing is
// read after that: whoever asks next at it gets all that is typed there. Any other input is
// let go of when a read that waits has ended.
func listen(ctx context.Context, in io.Reader) *typist {
	t := &typist{typed: make(chan string, aheadOfQuestions), stops: make(chan struct{}, 1)}
	if f, ok := in.(*os.File); ok {
		t.file, in = true, console.Polled(ctx, f)
		if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err == nil {
			t.tty = f
		}
	}
	go func() {
		defer close(t.typed)
		scanner := bufio.NewScanner(in)
		scanner.Buffer(nil, longestTyped)
		scanner.Split(splitTyped)
		for scanner.Scan() {
			if strings.HasSuffix(scanner.Text(), string(rune(ctrlC))) {
				t.forget()
				select {
				case t.stops <- struct{}{}:
				default: // one is enough
				}
				continue
			}
			select {
			case t.typed <- strings.TrimSuffix(scanner.Text(), "\r"):
			case <-ctx.Done():
				return
			}
		}
	}()
	return t
}

// gone waits until nothing reads any more. The context of listen has ended.
func (t *typist) gone() {
	if !t.file {
		return
	}
	for range t.typed { // closed by the reading, as the last thing that it does
	}
}

// forget drops what was typed ahead at a terminal: it was meant for something else than what
// is asked next. What a script has written is all meant.
func (t *typist) forget() {
	for t.tty != nil {
		select {
		case _, more := <-t.typed:
			if !more {
				return
			}
		default:
			return
		}
	}
}

// splitTyped ends a line at its line break, which is left out, or behind Ctrl-C, with all
// that was typed before it.
func splitTyped(data []byte, atEOF bool) (advance int, line []byte, err error) {
	switch end := bytes.IndexAny(data, "\n\x03"); {
	case end >= 0 && data[end] == ctrlC:
		return end + 1, data[:end+1], nil
	case end >= 0:
		return end + 1, data[:end], nil
	case atEOF && len(data) > 0:
		return len(data), data, nil
	}
	return 0, nil, nil
}

// byLines has the terminal hand over lines, and Ctrl-C at once, like the end of a line and
// without a signal: a console of a box controls no session, so that nobody would get one
// (termios(3), ISIG and VEOL). It returns what puts the terminal back as it was.
func (t *typist) byLines() (restore func()) {
	return t.change(func(line *unix.Termios) {
		line.Iflag |= unix.ICRNL
		line.Oflag |= unix.OPOST | unix.ONLCR
		line.Lflag |= unix.ICANON | unix.ECHO | unix.ECHOE | unix.ECHOK
		line.Lflag &^= unix.ISIG
		line.Cc[unix.VEOL] = ctrlC
	})
}

// endless has the terminal take the key that ends the input for any other (termios(3), VEOF):
// nobody could stop what is at work after it.
func (t *typist) endless() (restore func()) {
	return t.change(func(line *unix.Termios) { line.Cc[unix.VEOF] = disabled })
}

// disabled is _POSIX_VDISABLE, the character of a key that there is none of.
const disabled = 0

// unseen has the terminal show nothing of what is typed, until the line break.
func (t *typist) unseen(out io.Writer) (restore func()) {
	shown := t.change(func(line *unix.Termios) { line.Lflag &^= unix.ECHO })
	if t.tty == nil {
		return shown
	}
	return func() {
		shown()
		fmt.Fprintln(out)
	}
}

func (t *typist) change(to func(*unix.Termios)) (restore func()) {
	if t.tty == nil {
		return func() {}
	}
	fd := int(t.tty.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return func() {}
	}
	now := *before
	to(&now)
	_ = unix.IoctlSetTermios(fd, unix.TCSETS, &now)
	return func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, before) }
}

// speaker writes texts in the signs that the terminal has, and without a word of one in a
// line of another.
type speaker struct {
	mu    sync.Mutex
	w     io.Writer
	ascii bool
}

func (s *speaker) Write(text []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ascii {
		return s.w.Write(text)
	}
	if _, err := io.WriteString(s.w, toASCII(string(text))); err != nil {
		return 0, err
	}
	return len(text), nil
}

// translator writes the engine's lines in the language of the person. It gets whole ones.
type translator struct {
	st *state
	w  io.Writer
}

func (t translator) Write(text []byte) (int, error) {
	if _, err := io.WriteString(t.w, t.st.say(string(text))); err != nil {
		return 0, err
	}
	return len(text), nil
}
