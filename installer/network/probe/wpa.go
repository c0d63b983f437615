//go:build linux

package probe

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// wpaEvent is one unsolicited message of wpa_supplicant's control interface
// (wpa_ctrl.h of its source).
type wpaEvent struct {
	name   string
	fields map[string]string
}

// parseWPAEvent reads "<3>CTRL-EVENT-ASSOC-REJECT bssid=… status_code=16".
func parseWPAEvent(text string) (wpaEvent, bool) {
	level, rest, ok := strings.Cut(text, ">")
	if !ok || len(level) != 2 || level[0] != '<' {
		return wpaEvent{}, false
	}
	e := wpaEvent{fields: map[string]string{}}
	for i, w := range strings.Fields(rest) {
		if i == 0 {
			e.name = w
			continue
		}
		if key, value, ok := strings.Cut(w, "="); ok {
			e.fields[key] = value
		}
	}
	return e, e.name != ""
}

// With SAE a wrong password shows when both sides confirm it, in the second of the two
// exchanges (IEEE 802.11, 12.4.5). The status is 15, "challenge failure" (table 9-80),
// or 1, "unspecified", which hostapd 2.10 answers.
const (
	saeAuthentication = "3"
	saeConfirm        = "2"
	challengeFailure  = "15"
)

// wrongKey: with WPA2 wpa_supplicant concludes it from a handshake that broke off;
// with WPA3 the access point says it.
func (e wpaEvent) wrongKey() bool {
	if e.fields["reason"] == "WRONG_KEY" {
		return true
	}
	return e.name == "CTRL-EVENT-AUTH-REJECT" && e.fields["auth_type"] == saeAuthentication &&
		(e.fields["auth_transaction"] == saeConfirm || e.fields["status_code"] == challengeFailure)
}

// wpaListener collects events until it is closed.
type wpaListener struct {
	conn *net.UnixConn
	dir  string

	mu     sync.Mutex
	events []wpaEvent
}

// listenWPA attaches to the control socket of one interface. The answer comes to a
// socket of our own, which must have a path.
func listenWPA(socket string) (*wpaListener, error) {
	dir, err := os.MkdirTemp("", "stek-wpa-")
	if err != nil {
		return nil, err
	}
	l := &wpaListener{dir: dir}
	own := &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unixgram"}
	l.conn, err = net.DialUnix("unixgram", own, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	if err := l.attach(); err != nil {
		l.close()
		return nil, err
	}
	go l.collect()
	return l, nil
}

func (l *wpaListener) attach() error {
	if err := l.conn.SetDeadline(time.Now().Add(3 * time.Second)); err != nil {
		return err
	}
	if _, err := l.conn.Write([]byte("ATTACH")); err != nil {
		return err
	}
	buffer := make([]byte, 4096)
	for {
		n, err := l.conn.Read(buffer)
		if err != nil {
			return fmt.Errorf("attaching to wpa_supplicant: %w", err)
		}
		switch text := string(buffer[:n]); {
		case text == "OK\n":
			return l.conn.SetDeadline(time.Time{})
		case text == "FAIL\n", text == "UNKNOWN COMMAND\n":
			return fmt.Errorf("wpa_supplicant does not let us listen")
		}
	}
}

// maxEvents bounds what a chatty access point can make us keep.
const maxEvents = 1000

func (l *wpaListener) collect() {
	buffer := make([]byte, 65536)
	for {
		n, err := l.conn.Read(buffer)
		if err != nil {
			return
		}
		if e, ok := parseWPAEvent(string(buffer[:n])); ok {
			l.mu.Lock()
			if len(l.events) < maxEvents {
				l.events = append(l.events, e)
			}
			l.mu.Unlock()
		}
	}
}

func (l *wpaListener) seen() []wpaEvent {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]wpaEvent(nil), l.events...)
}

func (l *wpaListener) close() {
	_, _ = l.conn.Write([]byte("DETACH"))
	l.conn.Close()
	os.RemoveAll(l.dir)
}
