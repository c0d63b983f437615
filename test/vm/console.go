package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"
)

// expectAtMost bounds an Expect whose context has no deadline.
const expectAtMost = 15 * time.Minute

// Console is one serial port of a running box. It is read all the time, whether or not
// somebody expects something; a port that nobody reads would stop the guest.
type Console struct {
	port  io.ReadWriteCloser
	log   *os.File
	start time.Time
	fatal []*regexp.Regexp

	mu      sync.Mutex
	strip   stripper
	lines   []Line
	part    []byte // the line that has not ended yet
	partAt  time.Duration
	changed chan struct{} // closed and renewed when something arrived
	ended   bool          // the port is closed; nothing more will come
	line    int           // up to where Expect has read: a line …
	column  int           // … and a byte in it
}

// Line is one line of the console, without escape sequences.
type Line struct {
	At   time.Duration // when its first byte came, after power-on
	Text string
}

// String gives the line as it stands in the log.
func (l Line) String() string { return fmt.Sprintf("[%9.3f] %s", l.At.Seconds(), l.Text) }

// Match is what Expect found.
type Match struct {
	Alternative int           // which of the patterns, from 0
	Text        string        // what it fitted
	Groups      []string      // its groups in parentheses, from 0
	Line        string        // the whole line
	At          time.Duration // when the line came, after power-on
}

// ExpectError says why a wait ended without a match.
type ExpectError struct {
	Wanted []string
	Cause  error  // the context's error, ErrOff, or ErrFatal
	Last   []Line // the end of the console
}

// ErrFatal says that the guest printed a line after which waiting is no use.
var ErrFatal = errors.New("the guest reported a fatal error")

// Error gives the patterns, the cause and the last lines.
func (e *ExpectError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "expecting %q on the console: %v; ", e.Wanted, e.Cause)
	if len(e.Last) == 0 {
		b.WriteString("it printed nothing")
	} else {
		b.WriteString("its last lines:")
	}
	for _, l := range e.Last {
		b.WriteString("\n\t" + l.String())
	}
	return b.String()
}

// Unwrap gives the cause.
func (e *ExpectError) Unwrap() error { return e.Cause }

// newConsole reads port until it ends, writing each line to log as well.
func newConsole(port io.ReadWriteCloser, log *os.File, start time.Time, fatal []*regexp.Regexp) *Console {
	c := &Console{port: port, log: log, start: start, fatal: fatal, changed: make(chan struct{})}
	go c.read()
	return c
}

func (c *Console) read() {
	buffer := make([]byte, 64<<10)
	for {
		n, err := c.port.Read(buffer)
		c.mu.Lock()
		c.take(buffer[:n], time.Since(c.start))
		if err != nil {
			if len(c.part) > 0 {
				c.endLine()
			}
			c.ended = true
			c.log.Close()
		}
		close(c.changed)
		c.changed = make(chan struct{})
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (c *Console) take(data []byte, at time.Duration) {
	plain := c.strip.strip(nil, data)
	for len(plain) > 0 {
		if len(c.part) == 0 {
			c.partAt = at
		}
		end := bytes.IndexByte(plain, '\n')
		if end < 0 {
			c.part = append(c.part, plain...)
			return
		}
		c.part = append(c.part, plain[:end]...)
		plain = plain[end+1:]
		c.endLine()
	}
}

func (c *Console) endLine() {
	line := Line{At: c.partAt, Text: string(c.part)}
	c.part = c.part[:0]
	c.lines = append(c.lines, line)
	fmt.Fprintln(c.log, line) // the raw log of QEMU is there if this fails
}

// Expect waits for a whole line that one of the patterns (regular expressions) fits, and
// reads on from behind the match at the next call. A pattern never reaches over the end
// of a line. When several fit one line, the leftmost match wins, then the first pattern.
//
// It fails with an *ExpectError when the context ends, when the box powers off, and at
// once when the guest prints a fatal line before any match.
func (c *Console) Expect(ctx context.Context, patterns ...string) (Match, error) {
	return c.expect(ctx, false, patterns)
}

// ExpectPrompt is Expect that also takes the last line while it has not ended, as a
// prompt does. Such a line may still grow: the pattern should hold its last character.
func (c *Console) ExpectPrompt(ctx context.Context, patterns ...string) (Match, error) {
	return c.expect(ctx, true, patterns)
}

func (c *Console) expect(ctx context.Context, prompt bool, patterns []string) (Match, error) {
	var wanted []*regexp.Regexp
	for _, p := range patterns {
		re, err := regexp.Compile(p)
		if err != nil {
			return Match{}, fmt.Errorf("expecting on the console: %w", err)
		}
		wanted = append(wanted, re)
	}
	if _, limited := ctx.Deadline(); !limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, expectAtMost)
		defer cancel()
	}
	for {
		c.mu.Lock()
		match, state := c.scan(wanted, prompt)
		changed := c.changed
		ended := c.ended
		c.mu.Unlock()
		switch {
		case state == found:
			return match, nil
		case state == fatal:
			time.Sleep(300 * time.Millisecond) // let the trace that follows arrive
			return Match{}, c.expectError(patterns, fmt.Errorf("%w: %s", ErrFatal, match.Line))
		case ended:
			return Match{}, c.expectError(patterns, ErrOff)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Match{}, c.expectError(patterns, ctx.Err())
		}
	}
}

type scanState int

const (
	nothing scanState = iota
	found
	fatal
)

// scan looks at what came since the last match. The caller holds the lock.
func (c *Console) scan(wanted []*regexp.Regexp, prompt bool) (Match, scanState) {
	for ; c.line < len(c.lines); c.line, c.column = c.line+1, 0 {
		l := c.lines[c.line]
		if m, end, ok := leftmost(wanted, l.Text[min(c.column, len(l.Text)):]); ok {
			c.column += end
			m.Line, m.At = l.Text, l.At
			return m, found
		}
		for _, re := range c.fatal {
			if re.MatchString(l.Text) {
				return Match{Line: l.Text}, fatal
			}
		}
	}
	if prompt && len(c.part) > c.column {
		if m, end, ok := leftmost(wanted, string(c.part[c.column:])); ok {
			c.column += end
			m.Line, m.At = string(c.part), c.partAt
			return m, found
		}
	}
	return Match{}, nothing
}

// leftmost matches all patterns against text and gives the end of the winner.
func leftmost(wanted []*regexp.Regexp, text string) (Match, int, bool) {
	best := Match{Alternative: -1}
	var start, end int
	for i, re := range wanted {
		at := re.FindStringSubmatchIndex(text)
		if at == nil || best.Alternative >= 0 && at[0] >= start {
			continue
		}
		start, end = at[0], at[1]
		best = Match{Alternative: i, Text: text[at[0]:at[1]]}
		for g := 2; g < len(at); g += 2 {
			group := ""
			if at[g] >= 0 {
				group = text[at[g]:at[g+1]]
			}
			best.Groups = append(best.Groups, group)
		}
	}
	return best, end, best.Alternative >= 0
}

func (c *Console) expectError(patterns []string, cause error) error {
	lines := c.Lines()
	return &ExpectError{Wanted: patterns, Cause: cause, Last: lines[max(0, len(lines)-25):]}
}

// Lines gives all lines so far, the unfinished one last.
func (c *Console) Lines() []Line {
	c.mu.Lock()
	defer c.mu.Unlock()
	lines := append([]Line(nil), c.lines...)
	if len(c.part) > 0 {
		lines = append(lines, Line{At: c.partAt, Text: string(c.part)})
	}
	return lines
}

// Text gives all lines so far, without times.
func (c *Console) Text() string {
	var b strings.Builder
	for _, l := range c.Lines() {
		b.WriteString(l.Text + "\n")
	}
	return b.String()
}

// Send types a line and Enter, which on a terminal is a carriage return.
func (c *Console) Send(line string) error { return c.Type(line + "\r") }

// Type sends keys without Enter.
func (c *Console) Type(keys string) error {
	if _, err := io.WriteString(c.port, keys); err != nil {
		return fmt.Errorf("typing on the console: %w", err)
	}
	return nil
}

// wait waits until the port has ended, so that the log is complete.
func (c *Console) wait(limit time.Duration) {
	deadline := time.After(limit)
	for {
		c.mu.Lock()
		changed, ended := c.changed, c.ended
		c.mu.Unlock()
		if ended {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			return
		}
	}
}
