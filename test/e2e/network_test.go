//go:build e2e

package e2e

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stek-edge/stek/test/site"
	"github.com/stek-edge/stek/test/vm"
)

const boxMAC = "52:54:00:aa:00:01"

// TestFullOffline: with network.offline a box says nothing on a cable that has a DHCP
// server at its other end, from power-on over installation, start and Ready, for ten
// minutes at least.
func TestFullOffline(t *testing.T) {
	ctx := t.Context()
	s := newSite(t, site.Options{})
	heard := filepath.Join(t.TempDir(), "wire.pcap")
	s.Machine.NICs = []vm.NIC{{MAC: boxMAC, User: &vm.UserNetwork{}}}
	s.Machine.ExtraFlags = append(s.Machine.ExtraFlags, "-object", "filter-dump,id=dump,netdev=net0,file="+heard)
	box := powerOn(t, s, s.Machine)
	phase(t, "installed", func() (vm.Match, error) { return box.WaitInstalled(ctx) })
	phase(t, "Ready", func() (vm.Match, error) { return box.WaitReady(ctx) })
	must(t, box.LogIn(ctx))
	if cards := box.run(t, "ip -br link"); !strings.Contains(cards, boxMAC) {
		t.Errorf("the box does not have the card: %s", cards)
	}
	for box.Uptime() < 10*time.Minute {
		time.Sleep(5 * time.Second)
	}
	must(t, box.PowerCut())
	said := framesBut(t, heard, emulator...)
	if len(said) != 0 {
		t.Errorf("the box sent %d frames; the first: % x", len(said), said[0])
	}
}

// TestFullFixedAddress: a box with a fixed address on one of its two cards keeps to it,
// with a DHCP server on both, and the cluster keeps its own when the cable's changes.
func TestFullFixedAddress(t *testing.T) {
	ctx := t.Context()
	s := newSite(t, site.Options{Network: `{ntp: [10.0.2.2], links: [{name: uplink, match: {mac: "` + boxMAC + `"}, addresses: [10.0.2.77/24], gateway: 10.0.2.2, dns: [10.0.2.3]}]}`})
	s.Machine.NICs = []vm.NIC{{MAC: boxMAC, User: &vm.UserNetwork{}}, {MAC: "52:54:00:aa:00:02", User: &vm.UserNetwork{}}}
	box := powerOn(t, s, s.Machine)
	phase(t, "installed", func() (vm.Match, error) { return box.WaitInstalled(ctx) })
	for range 2 {
		phase(t, "Ready", func() (vm.Match, error) { return box.WaitReady(ctx) })
		must(t, box.LogIn(ctx))
		addresses := box.run(t, "ip -br -4 address")
		if !strings.Contains(addresses, "10.0.2.77/24") || strings.Count(addresses, "10.0.2.") != 1 {
			t.Errorf("the box has the addresses\n%s", addresses)
		}
		if routes := box.run(t, "ip -4 route show default"); !strings.HasPrefix(routes, "default via 10.0.2.2 ") {
			t.Errorf("the box's way out: %s", routes)
		}
		if own := box.run(t, "kubectl get node -o jsonpath={.items[0].status.addresses[0].address}"); strings.HasPrefix(own, "10.0.2.") {
			t.Errorf("the cluster knows the node by the cable's address %s", own)
		}
		if test, err := box.Run(ctx, "stek network test --output json"); !strings.Contains(test, `"gateway"`) {
			t.Errorf("stek network test: %v\n%s", err, test)
		}
		must(t, box.PowerCut())
		box = powerOn(t, s, s.WithoutStick())
	}
}

// emulator are how the hardware addresses begin that a UserNetwork itself sends from: two
// octets, and the end of its IPv4 (10.0.2.) or IPv6 address (of fe80::2 and fec0::).
var emulator = [][]byte{{0x52, 0x55, 10, 0, 2}, {0x52, 0x56, 0, 0, 0}}

// framesBut reads a capture (pcap-savefile(5)) and gives the frames whose sender's address
// does not begin in one of these ways.
func framesBut(t *testing.T, file string, senders ...[]byte) (frames [][]byte) {
	t.Helper()
	f, err := os.Open(file)
	must(t, err)
	defer f.Close()
	_, err = io.CopyN(io.Discard, f, 24) // the file's header
	must(t, err)
	for {
		header := make([]byte, 16)
		if _, err := io.ReadFull(f, header); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return frames // a killed QEMU may leave half a frame
		}
		frame := make([]byte, binary.LittleEndian.Uint32(header[8:]))
		if _, err := io.ReadFull(f, frame); err != nil {
			return frames
		}
		known := func(sender []byte) bool { return len(frame) > 12 && bytes.HasPrefix(frame[6:12], sender) }
		if !slices.ContainsFunc(senders, known) {
			frames = append(frames, frame)
		}
	}
}
