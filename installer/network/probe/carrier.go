//go:build linux

package probe

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// carrier waits for a cable, then looks whether it holds.
func (p *prober) carrier(ctx context.Context, l Link, watch *carrierWatch) finding {
	var link netlink.Link
	var err error
	up := func() bool {
		link, err = netlink.LinkByName(l.Interface)
		return err == nil && hasCarrier(link)
	}
	if !wait(ctx, p.Carrier, up) {
		return p.noCarrier(l, link, err)
	}
	watch.follow(link.Attrs().Index, l.Name)
	lost := p.count(l.Interface, "carrier_down_count")
	if lost >= flapsBefore {
		if wait(ctx, p.Flapping, func() bool { return watch.losses(l.Name) > 0 }) {
			return failed(FaultFlapping, fmt.Sprintf("%s has lost its carrier %d times since the start, and again just now", l.Interface, lost+1))
		}
	}
	saw := "carrier on " + l.Interface
	if speed := p.count(l.Interface, "speed"); speed > 0 {
		saw += fmt.Sprintf(", %d Mbit/s", speed)
	}
	return passed(saw)
}

// flapsBefore is how many losses of carrier since the start make a link suspect.
// One is the cable that was plugged in late, a second the switch that restarted.
const flapsBefore = 3

func (p *prober) noCarrier(l Link, link netlink.Link, err error) finding {
	if err != nil {
		var missing netlink.LinkNotFoundError
		if errors.As(err, &missing) {
			return failed(FaultNoCard, "there is no network card "+l.Interface)
		}
		return failed(FaultNoCard, fmt.Sprintf("%s cannot be asked: %v", l.Interface, err))
	}
	if link.Attrs().RawFlags&unix.IFF_UP == 0 {
		return failed(FaultOff, l.Interface+" is there and switched off")
	}
	if lost := p.count(l.Interface, "carrier_down_count"); lost >= flapsBefore {
		return failed(FaultFlapping, fmt.Sprintf("%s has no carrier now and has lost it %d times since the start", l.Interface, lost))
	}
	return failed(FaultNoCarrier, "no carrier on "+l.Interface)
}

// hasCarrier follows Documentation/networking/operstates.rst of the kernel.
func hasCarrier(link netlink.Link) bool {
	return link.Attrs().RawFlags&(unix.IFF_UP|unix.IFF_LOWER_UP) == unix.IFF_UP|unix.IFF_LOWER_UP
}

// count reads a number that the kernel shows of a card, 0 when it shows none
// (Documentation/ABI/testing/sysfs-class-net).
func (p *prober) count(name, file string) int {
	text, err := os.ReadFile(filepath.Join(p.Sys, "class/net", name, file))
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return n
}

// carrierWatch counts the losses of carrier while a test runs.
type carrierWatch struct {
	done    chan struct{}
	once    sync.Once
	counted map[string]int // when it was stopped

	mu    sync.Mutex
	names map[int]string
	up    map[int]bool
	lost  map[string]int
}

// watchCarriers listens until stop.
func watchCarriers() *carrierWatch {
	w := &carrierWatch{done: make(chan struct{}), names: map[int]string{}, up: map[int]bool{}, lost: map[string]int{}}
	updates := make(chan netlink.LinkUpdate, 64)
	if err := netlink.LinkSubscribe(updates, w.done); err != nil {
		return w // without events nothing is counted; each stage still sees for itself
	}
	go func() {
		for u := range updates {
			w.update(int(u.Index), hasCarrier(u.Link))
		}
	}()
	return w
}

func (w *carrierWatch) follow(index int, name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.names[index], w.up[index] = name, true
}

func (w *carrierWatch) update(index int, up bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	name, followed := w.names[index]
	if !followed {
		return
	}
	if w.up[index] && !up {
		w.lost[name]++
	}
	w.up[index] = up
}

func (w *carrierWatch) losses(name string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost[name]
}

// stop ends the watch and returns how often each link lost its carrier until then.
func (w *carrierWatch) stop() map[string]int {
	w.once.Do(func() {
		close(w.done)
		time.Sleep(10 * time.Millisecond) // what the kernel has sent already is still counted
		w.mu.Lock()
		defer w.mu.Unlock()
		w.counted = maps.Clone(w.lost)
	})
	return w.counted
}
