package vm

import (
	"bufio"
	"context"
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// qemuEnd is the other end of a QMP connection: it greets, answers each line with the
// next of the answers, and hangs up.
func qemuEnd(t *testing.T, answers ...string) (*QMP, error) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "qmp")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		conn.Write([]byte(`{"QMP": {"version": {}, "capabilities": []}}` + "\n"))
		lines := bufio.NewReader(conn)
		for _, answer := range append([]string{`{"return": {}, "id": 1}`}, answers...) {
			if _, err := lines.ReadString('\n'); err != nil {
				return
			}
			conn.Write([]byte(answer + "\n"))
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return dialQMP(ctx, socket)
}

func TestQMPAnswers(t *testing.T) {
	q, err := qemuEnd(t,
		`{"event": "RESET", "data": {"guest": true}, "timestamp": {"seconds": 1, "microseconds": 2}}`+"\n"+`{"return": {"status": "running"}, "id": 2}`,
		`{"error": {"class": "DeviceNotFound", "desc": "Device 'x' not found"}, "id": 3}`)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct{ Status string }
	if err := q.Do(t.Context(), "query-status", nil, &answer); err != nil || answer.Status != "running" {
		t.Errorf("status is %q (%v)", answer.Status, err)
	}
	event, next, err := q.WaitEvent(t.Context(), 0, func(e Event) bool { return e.Name == "RESET" })
	if err != nil || next != 1 || event.Data["guest"] != true || !event.At.Equal(time.Unix(1, 2000)) {
		t.Errorf("event is %+v, next %d (%v)", event, next, err)
	}
	var refused *QMPError
	err = q.Do(t.Context(), "device_del", map[string]any{"id": "x"}, nil)
	if !errors.As(err, &refused) || refused.Class != "DeviceNotFound" || refused.Command != "device_del" {
		t.Errorf("a refusal is %v", err)
	}
	if err := q.Do(t.Context(), "cont", nil, nil); !errors.Is(err, ErrOff) {
		t.Errorf("after QEMU hung up: %v, want ErrOff", err)
	}
	if _, _, err := q.WaitEvent(t.Context(), next, func(Event) bool { return true }); !errors.Is(err, ErrOff) {
		t.Errorf("waiting after QEMU hung up: %v, want ErrOff", err)
	}
}

func FuzzQMPMessage(f *testing.F) {
	f.Add([]byte(`{"return": {}, "id": 1}`))
	f.Add([]byte(`{"event": "STOP", "data": {"x": [1]}, "timestamp": {"seconds": 1, "microseconds": 2}}`))
	f.Add([]byte(`{"error": {"class": "GenericError", "desc": ""}, "id": 7}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		q := &QMP{waiting: map[int]chan reply{7: make(chan reply, 1)}, changed: make(chan struct{})}
		if err := q.take(line); err == nil && len(q.Events()) > 1 {
			t.Errorf("one line gave %d events", len(q.Events()))
		}
	})
}
