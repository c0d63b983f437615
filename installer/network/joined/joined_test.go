//go:build linux

package joined

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/installer/network"
)

const laidFile = "10-stek-wifi0-joined.network"

func TestDecide(t *testing.T) {
	rendered := map[string][]byte{
		network.JoinedFile("wifi0", "Kas 7"): []byte("hall"),
		network.JoinedFile("wifi0", "Kas 8"): []byte("spare"),
		network.JoinedFile("wifi1", "Kas 7"): []byte("other radio"),
	}
	const other = "10-stek-wifi1-joined.network"
	for _, c := range []struct {
		name   string
		joined map[string]string
		want   map[string]string // "" is no file
	}{
		{"no radio is known", nil, map[string]string{}},
		{"joined", map[string]string{"wifi0": "Kas 7"}, map[string]string{laidFile: "hall"}},
		{"the other one is joined", map[string]string{"wifi0": "Kas 8"}, map[string]string{laidFile: "spare"}},
		{"none is joined", map[string]string{"wifi0": ""}, map[string]string{laidFile: ""}},
		{"one without a file is joined", map[string]string{"wifi0": "Kas"}, map[string]string{laidFile: ""}},
		{"two radios", map[string]string{"wifi0": "Kas 8", "wifi1": "Kas 7"}, map[string]string{laidFile: "spare", other: "other radio"}},
		{"another radio's network", map[string]string{"wifi1": "Kas 8"}, map[string]string{other: ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := map[string]string{}
			for name, data := range Decide(c.joined, rendered) {
				got[name] = string(data)
				if (data == nil) != (c.want[name] == "") {
					t.Errorf("%s: %q", name, data)
				}
			}
			if !maps.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// site is a box with one radio, wifi0.
type site struct {
	t        *testing.T
	radios   Radios
	heard    chan struct{}
	mu       sync.Mutex // of what follows
	ssid     string
	askErr   error
	failures int      // how often networkd does not reload
	loaded   []string // what networkd had to read, at each reload
	told     []string
	end      func()
	ended    chan error
}

func newSite(t *testing.T) *site {
	s := &site{t: t, heard: make(chan struct{}, 1), ended: make(chan error, 1)}
	s.radios = Radios{Rendered: t.TempDir(), Laid: filepath.Join(t.TempDir(), "not-there-yet"), Heard: s.heard, Every: Interval,
		Joined: func(radio string) (string, error) {
			if radio != "wifi0" {
				return "", nil
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.ssid, s.askErr
		},
		Reload: func(context.Context) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.failures > 0 {
				s.failures--
				return errors.New("networkd is not there")
			}
			s.loaded = append(s.loaded, s.laid())
			return nil
		},
		Tell: func(what string) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.told = append(s.told, what)
		},
	}
	s.render("Kas 7", "fixed")
	s.render("Kas 8", "dhcp")
	return s
}

func (s *site) render(ssid, data string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.radios.Rendered, network.JoinedFile("wifi0", ssid)), []byte(data), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// laid is what networkd would read for the radio; "-" is nothing.
func (s *site) laid() string {
	data, err := os.ReadFile(filepath.Join(s.radios.Laid, laidFile))
	if err != nil {
		return "-"
	}
	return string(data)
}

// follow starts Follow, which looks at once.
func (s *site) follow() {
	ctx, cancel := context.WithCancel(s.t.Context())
	s.end = cancel
	go func() { s.ended <- Follow(ctx, s.radios) }()
	synctest.Wait()
}

// answers is what the radio says from now on.
func (s *site) answers(ssid string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ssid, s.askErr = ssid, err
}

// joins has the radio join a network, and the kernel say so.
func (s *site) joins(ssid string) {
	s.answers(ssid, s.askErr)
	s.heard <- struct{}{}
	synctest.Wait()
}

func (s *site) wants(laid string, loaded ...string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if got := s.laid(); got != laid || !slices.Equal(s.loaded, loaded) {
		s.t.Errorf("laid is %q, networkd has read %q; want %q and %q", got, s.loaded, laid, loaded)
	}
}

// stop ends Follow and takes what is left of it.
func (s *site) stop() {
	s.t.Helper()
	s.end()
	if err := <-s.ended; err != nil {
		s.t.Error(err)
	}
	if s.laid() != "-" {
		s.t.Errorf("%q is left", s.laid())
	}
}

// sleep waits until all has been done that the time brings.
func sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestFollow(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(*testing.T, *site)
	}{
		{"looks at once", func(_ *testing.T, s *site) {
			s.answers("Kas 7", nil)
			s.follow()
			s.wants("fixed", "fixed")
		}},
		{"joins, leaves and joins another", func(_ *testing.T, s *site) {
			s.follow()
			s.joins("Kas 7")
			s.joins("")
			s.joins("Kas 8")
			s.wants("dhcp", "-", "fixed", "-", "dhcp")
		}},
		{"goes over to another at once", func(_ *testing.T, s *site) {
			s.answers("Kas 7", nil)
			s.follow()
			s.joins("Kas 8")
			s.wants("dhcp", "fixed", "dhcp")
		}},
		{"nothing new is said", func(_ *testing.T, s *site) {
			s.answers("Kas 7", nil)
			s.follow()
			s.joins("Kas 7")
			s.joins("Kas 7")
			s.wants("fixed", "fixed")
		}},
		{"an event is missed", func(_ *testing.T, s *site) {
			s.follow()
			s.answers("Kas 7", nil)
			sleep(Interval + time.Second)
			s.wants("fixed", "-", "fixed")
		}},
		{"a radio that cannot be asked keeps what it has", func(_ *testing.T, s *site) {
			s.answers("Kas 7", nil)
			s.follow()
			s.answers("Kas 8", errors.New("busy"))
			s.joins("Kas 8")
			s.wants("fixed", "fixed")
			s.answers("Kas 8", nil)
			sleep(Interval + time.Second)
			s.wants("dhcp", "fixed", "dhcp")
		}},
		{"networkd does not reload", func(t *testing.T, s *site) {
			s.answers("Kas 7", nil)
			s.failures = 2
			s.follow()
			s.wants("fixed")
			sleep(2*Interval + time.Second)
			s.wants("fixed", "fixed")
			if n := strings.Count(strings.Join(s.told, "\n"), "networkd is not there"); n != 1 {
				t.Errorf("the fault was told %d times: %q", n, s.told)
			}
		}},
		{"one before ended early", func(t *testing.T, s *site) {
			if err := errors.Join(os.MkdirAll(s.radios.Laid, 0o755), os.WriteFile(filepath.Join(s.radios.Laid, laidFile), []byte("dhcp"), 0o644)); err != nil {
				t.Fatal(err)
			}
			s.answers("Kas 7", nil)
			s.follow()
			s.wants("fixed", "fixed")
		}},
		{"a radio that has no files any more", func(t *testing.T, s *site) {
			gone := filepath.Join(s.radios.Laid, "10-stek-wifi9-joined.network")
			foreign := filepath.Join(s.radios.Laid, "10-other.network")
			for _, path := range []string{gone, foreign} {
				if err := errors.Join(os.MkdirAll(s.radios.Laid, 0o755), os.WriteFile(path, []byte("x"), 0o644)); err != nil {
					t.Fatal(err)
				}
			}
			s.follow()
			if _, err := os.Stat(gone); err == nil {
				t.Error("it stays")
			}
			if _, err := os.Stat(foreign); err != nil {
				t.Error(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t)
				c.do(t, s)
				s.stop()
			})
		})
	}
}

// TestListen: lost events are as good as one, and a stream that ended, or is not there yet,
// is opened again and may have missed something.
func TestListen(t *testing.T) {
	gone := errors.New("gone")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		streams := [][]error{nil, {nil, unix.ENOBUFS, nil, gone}, {nil}} // the first cannot be opened
		heard, closed := 0, 0
		open := func() (source, error) {
			stream := streams[0]
			streams = streams[1:]
			if stream == nil {
				return source{}, gone
			}
			next := func() error {
				if len(stream) == 0 {
					<-ctx.Done()
					return gone
				}
				err := stream[0]
				stream = stream[1:]
				return err
			}
			return source{next: next, close: func() { closed++ }}, nil
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			listen(ctx, time.Second, open, func() { heard++ })
		}()
		sleep(10 * time.Second)
		if heard != 1+3+1+1 || closed != 1 {
			t.Errorf("heard %d times, closed %d streams", heard, closed)
		}
		cancel()
		<-ended
		synctest.Wait()
		if closed != 2 {
			t.Errorf("closed %d streams", closed)
		}
	})
}

// TestJoined: a radio that is not there has joined nothing.
func TestJoined(t *testing.T) {
	if ssid, err := Joined("no-such-radio"); ssid != "" || err != nil {
		t.Errorf("got %q, %v", ssid, err)
	}
}
