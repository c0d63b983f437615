// Package joined gives a radio the settings of the network that it has joined, where its
// networks give different ones: a fixed address in one, DHCP in another. systemd-networkd
// cannot, since the kernel does not tell it the network's name (systemd issue 24585).
//
// Package network renders a file for each network into a folder that networkd does not
// read. Follow lays the one of the joined network into one that it does, before the
// radio's file that gives nothing, and takes it away when the network is left. Decide is
// pure. What is laid is gone after a restart of the box, and when Follow ends: package keep
// ends it before it changes a configuration.
//
// The package must never make a radio join or leave a network: that is wpa_supplicant's.
//
//	err := joined.Follow(ctx, joined.Here(ctx, reload))
package joined

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/stek-edge/stek/installer/durable"
	"github.com/stek-edge/stek/installer/network"
)

// Interval is how often Follow looks without having heard anything. It is less than the
// test of a network waits for an address.
const Interval = 10 * time.Second

// The names of laid files come before those of package network for a radio: networkd takes
// the first that fits.
const before, after = "10-stek-", "-joined.network"

// Decide returns what has to lie in networkd's folder for each radio, by the file's name:
// nil is no file. joined has the SSID that a radio has joined, "" for none; rendered are the
// files of network.JoinedDir by name.
func Decide(joined map[string]string, rendered map[string][]byte) map[string][]byte {
	laid := map[string][]byte{}
	for radio, ssid := range joined {
		laid[before+radio+after] = rendered[network.JoinedFile(radio, ssid)]
	}
	return laid
}

// Radios is what Follow looks after.
type Radios struct {
	Rendered string // folder with a file for each network: network.JoinedDir
	Laid     string // folder that networkd reads

	Joined func(radio string) (ssid string, err error) // "" where no network is joined, or no radio is there
	Reload func(context.Context) error                 // makes networkd read its files again
	Heard  <-chan struct{}                             // a radio may have joined or left a network
	Every  time.Duration                               // how often it looks without that
	Tell   func(string)                                // may be nil
}

// Here are the radios of the running machine. It listens to them until ctx ends.
func Here(ctx context.Context, reload func(context.Context) error) Radios {
	heard := make(chan struct{}, 1)
	go listenHere(ctx, heard)
	return Radios{Rendered: network.JoinedDir, Laid: "/run/systemd/network", Joined: Joined, Reload: reload, Heard: heard, Every: Interval}
}

// Follow looks after the radios until ctx ends, and then takes away what it has laid.
// networkd learns of that when it reads its files the next time. What fails is tried again
// at the next look.
func Follow(ctx context.Context, r Radios) error {
	f := follower{Radios: r, stale: true}
	tick := time.NewTicker(r.Every)
	defer tick.Stop()
	told := ""
	for {
		fault := ""
		if err := f.look(ctx); err != nil {
			fault = err.Error()
		}
		if fault != told && fault != "" && ctx.Err() == nil {
			f.tell(fault)
		}
		told = fault
		select {
		case <-r.Heard:
		case <-tick.C:
		case <-ctx.Done():
			return f.clear()
		}
	}
}

type follower struct {
	Radios
	stale bool // networkd may not know yet what is laid: at first, one before may have ended early
}

// look is one look: the files of all radios, then networkd. A radio that cannot be asked
// keeps what it has, and keeps nothing from the others.
func (f *follower) look(ctx context.Context) error {
	rendered, err := read(f.Rendered, "", ".network")
	if err != nil {
		return err
	}
	laid, err := read(f.Laid, before, after)
	if err != nil {
		return err
	}
	var faults []error
	joined := map[string]string{}
	for _, radio := range radios(rendered, laid) {
		ssid, err := f.Joined(radio)
		if err != nil {
			faults = append(faults, fmt.Errorf("asking which network %s has joined: %w", radio, err))
			continue
		}
		joined[radio] = ssid
	}
	for name, data := range Decide(joined, rendered) {
		if bytes.Equal(data, laid[name]) {
			continue
		}
		if err := f.lay(name, data); err != nil {
			faults = append(faults, err)
			continue
		}
		f.stale = true
		radio := radioOf(name)
		if data == nil {
			f.tell(radio + " has left its network, and has no address")
		} else {
			f.tell(fmt.Sprintf("%s has joined %q, and gets what that network gives", radio, joined[radio]))
		}
	}
	if f.stale {
		if err := f.Reload(ctx); err != nil {
			return errors.Join(append(faults, err)...)
		}
		f.stale = false
	}
	return errors.Join(faults...)
}

func (f *follower) lay(name string, data []byte) error {
	path := filepath.Join(f.Laid, name)
	if data == nil {
		return os.Remove(path)
	}
	return durable.WriteFile(path, data, 0o644)
}

func (f *follower) clear() error {
	laid, err := read(f.Laid, before, after)
	faults := []error{err}
	for name := range laid {
		faults = append(faults, f.lay(name, nil))
	}
	return errors.Join(faults...)
}

func (f *follower) tell(what string) {
	if f.Tell != nil {
		f.Tell(what)
	}
}

// radios are those that have a file, in order.
func radios(rendered, laid map[string][]byte) []string {
	all := map[string]bool{}
	for name := range rendered {
		radio, _, _ := strings.Cut(name, "-")
		all[radio] = true
	}
	for name := range laid {
		all[radioOf(name)] = true
	}
	return slices.Sorted(maps.Keys(all))
}

// radioOf is the radio of a laid file.
func radioOf(name string) string {
	return strings.TrimSuffix(strings.TrimPrefix(name, before), after)
}

// read returns the files of a folder by name. A folder that is not there has none.
func read(dir, prefix, suffix string) (map[string][]byte, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	files := map[string][]byte{}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), prefix) || !strings.HasSuffix(e.Name(), suffix) {
			continue
		}
		if files[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			return nil, err
		}
	}
	return files, nil
}
