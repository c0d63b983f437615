package vm

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// QMP is a connection to QEMU's machine protocol (docs/interop/qmp-spec.rst). Its
// methods may be used by several goroutines.
type QMP struct {
	conn    net.Conn
	writing sync.Mutex

	mu      sync.Mutex
	next    int
	waiting map[int]chan reply
	events  []Event
	changed chan struct{} // closed and renewed at each event
	closed  error         // why there will be no more; nil while open
}

// Event is something that QEMU reported by itself, such as RESET or DEVICE_DELETED.
type Event struct {
	Name string
	Data map[string]any
	At   time.Time
}

// QMPError is QEMU's refusal of a command.
type QMPError struct {
	Command string `json:"-"`
	Class   string `json:"class"`
	Desc    string `json:"desc"`
}

// Error gives the command and QEMU's own words.
func (e *QMPError) Error() string { return fmt.Sprintf("QEMU refused %s: %s", e.Command, e.Desc) }

// ErrOff says that QEMU is gone, and with it the box.
var ErrOff = errors.New("the box is off")

type reply struct {
	Return json.RawMessage `json:"return"`
	Error  *QMPError       `json:"error"`
}

// message is any line that QEMU sends.
type message struct {
	reply
	ID        *int            `json:"id"`
	Greeting  json.RawMessage `json:"QMP"`
	Event     string          `json:"event"`
	Data      map[string]any  `json:"data"`
	Timestamp struct {
		Seconds      int64 `json:"seconds"`
		Microseconds int64 `json:"microseconds"`
	} `json:"timestamp"`
}

// dialQMP connects and leaves the negotiation mode.
func dialQMP(ctx context.Context, socket string) (*QMP, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, fmt.Errorf("connecting to QEMU: %w", err)
	}
	q := &QMP{conn: conn, waiting: map[int]chan reply{}, changed: make(chan struct{})}
	go q.read(conn)
	if err := q.Do(ctx, "qmp_capabilities", nil, nil); err != nil {
		conn.Close()
		return nil, err
	}
	return q, nil
}

// read takes lines until the connection ends.
func (q *QMP) read(r io.Reader) {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if err == nil {
			err = q.take(line)
		}
		if err != nil {
			q.mu.Lock()
			q.closed = ErrOff
			if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
				q.closed = fmt.Errorf("%w: %w", ErrOff, err)
			}
			for _, answer := range q.waiting {
				close(answer)
			}
			q.waiting = map[int]chan reply{}
			close(q.changed)
			q.changed = make(chan struct{})
			q.mu.Unlock()
			return
		}
	}
}

func (q *QMP) take(line []byte) error {
	var m message
	if err := json.Unmarshal(line, &m); err != nil {
		return fmt.Errorf("QEMU sent what is not QMP: %w", err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case m.Event != "":
		at := time.Unix(m.Timestamp.Seconds, m.Timestamp.Microseconds*1000)
		q.events = append(q.events, Event{Name: m.Event, Data: m.Data, At: at})
		close(q.changed)
		q.changed = make(chan struct{})
	case m.ID != nil:
		if answer, ok := q.waiting[*m.ID]; ok {
			delete(q.waiting, *m.ID)
			answer <- m.reply // has room for one
		}
	}
	return nil
}

// Do runs one command and decodes what it returns into result, unless that is nil. A
// refusal is a *QMPError.
func (q *QMP) Do(ctx context.Context, command string, arguments map[string]any, result any) error {
	answer := make(chan reply, 1)
	q.mu.Lock()
	if q.closed != nil {
		q.mu.Unlock()
		return fmt.Errorf("%s: %w", command, q.closed)
	}
	q.next++
	id := q.next
	q.waiting[id] = answer
	q.mu.Unlock()

	request := map[string]any{"execute": command, "id": id}
	if arguments != nil {
		request["arguments"] = arguments
	}
	line, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	q.writing.Lock()
	_, err = q.conn.Write(append(line, '\n'))
	q.writing.Unlock()
	if err != nil {
		return fmt.Errorf("%s: %w: %w", command, ErrOff, err)
	}
	select {
	case r, ok := <-answer:
		if !ok {
			return fmt.Errorf("%s: %w", command, ErrOff)
		}
		if r.Error != nil {
			r.Error.Command = command
			return r.Error
		}
		if result == nil {
			return nil
		}
		if err := json.Unmarshal(r.Return, result); err != nil {
			return fmt.Errorf("reading the answer to %s: %w", command, err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", command, ctx.Err())
	}
}

// Events gives what QEMU reported so far, oldest first.
func (q *QMP) Events() []Event {
	q.mu.Lock()
	defer q.mu.Unlock()
	return append([]Event(nil), q.events...)
}

// WaitEvent waits for the first event, from number since on (0 is the first ever), that
// fits; it gives the event and the number to go on from.
func (q *QMP) WaitEvent(ctx context.Context, since int, fits func(Event) bool) (Event, int, error) {
	for {
		q.mu.Lock()
		for i := since; i < len(q.events); i++ {
			if e := q.events[i]; fits(e) {
				q.mu.Unlock()
				return e, i + 1, nil
			}
		}
		since = max(since, len(q.events))
		changed, closed := q.changed, q.closed
		q.mu.Unlock()
		if closed != nil {
			return Event{}, since, closed
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Event{}, since, fmt.Errorf("waiting for an event of QEMU: %w", ctx.Err())
		}
	}
}

// Close ends the connection; QEMU runs on.
func (q *QMP) Close() error { return q.conn.Close() }
