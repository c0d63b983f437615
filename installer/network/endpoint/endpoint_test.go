//go:build linux

package endpoint

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/stek-edge/stek/installer/preseed"
	"github.com/stek-edge/stek/test/lan"
)

func TestMain(m *testing.M) { lan.Main(m) }

func TestDecide(t *testing.T) {
	now := time.Now()
	a, b, c := netip.MustParseAddr("203.0.113.10"), netip.MustParseAddr("203.0.113.20"), netip.MustParseAddr("203.0.113.30")
	at := func(x netip.Addr) netip.AddrPort { return netip.AddrPortFrom(x, 51820) }
	for _, x := range []struct {
		name          string
		current       netip.AddrPort
		age           time.Duration // of the handshake
		means, before []netip.Addr
		to            netip.AddrPort
	}{
		{"as it was", at(a), time.Minute, []netip.Addr{a}, []netip.Addr{a}, netip.AddrPort{}},
		{"the name means another address", at(a), time.Minute, []netip.Addr{b}, []netip.Addr{a}, at(b)},
		{"the name means the current one too", at(a), time.Hour, []netip.Addr{b, a}, []netip.Addr{a}, netip.AddrPort{}},
		{"it answers from an address of its own", at(c), time.Minute, []netip.Addr{a}, []netip.Addr{a}, netip.AddrPort{}},
		{"addresses in another order", at(c), time.Minute, []netip.Addr{b, a}, []netip.Addr{a, b}, netip.AddrPort{}},
		{"silent, at an address that the name does not have", at(c), time.Hour, []netip.Addr{a}, []netip.Addr{a}, at(a)},
		{"silent, and nothing better is known", at(a), time.Hour, []netip.Addr{a}, []netip.Addr{a}, netip.AddrPort{}},
		{"the name cannot be looked up", at(a), time.Hour, nil, []netip.Addr{a}, netip.AddrPort{}},
		{"first look, it answers", at(c), time.Minute, []netip.Addr{a}, nil, netip.AddrPort{}},
		{"no endpoint yet: the name could not be looked up at the start", netip.AddrPort{}, 0, []netip.Addr{a}, nil, at(a)},
	} {
		t.Run(x.name, func(t *testing.T) {
			names, before := map[string][]netip.Addr{}, map[string][]netip.Addr{}
			if x.means != nil {
				names["hub"] = x.means
			}
			if x.before != nil {
				before["hub"] = x.before
			}
			moves := Decide([]Peer{{Key: "k", Host: "hub", Port: 51820, Current: x.current, Handshake: now.Add(-x.age)}}, names, before, now)
			var want []Move
			if x.to.IsValid() {
				want = []Move{{"k", x.to}}
			}
			if !slices.Equal(moves, want) {
				t.Errorf("got %v, want %v", moves, want)
			}
		})
	}
}

// TestFollow: the hub moves to another address, its name follows, and the tunnel of
// the box with it.
func TestFollow(t *testing.T) {
	site := lan.New(t)
	card := site.Cable(t, "eth0", "192.168.7.1/24")
	for _, a := range []string{"203.0.113.10/32", "203.0.113.20/32"} {
		card.Host(t, a)
	}
	card.Address(t, "192.168.7.20/24", "192.168.7.1")
	own, hub := newKey(t), newKey(t)
	site.WireGuard(t, lan.WireGuard{Name: "hub", Key: hub, Address: "10.77.0.1/24", Port: 51820, Peer: own.PublicKey(), Allowed: "10.77.0.7/32"})
	lan.BoxWireGuard(t, lan.WireGuard{Name: "stek-vpn", Key: own, Address: "10.77.0.7/24", Peer: hub.PublicKey(), Endpoint: "203.0.113.10:51820", Allowed: "10.77.0.0/24"})
	client, err := wgctrl.New()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	tunnel := Of(client, "stek-vpn", preseed.WireGuard{Peers: []preseed.Peer{{PublicKey: hub.PublicKey().String(), Endpoint: preseed.Endpoint{Host: "hub.example.org", Port: 51820}}}})
	meaning := []string{"203.0.113.10", "203.0.113.20"}
	looks := 0
	tunnel.Lookup = func(context.Context, string) ([]netip.Addr, error) {
		looks++
		return []netip.Addr{netip.MustParseAddr(meaning[min(looks-1, 1)])}, nil
	}
	moved := make(chan Move, 10)
	tunnel.Moved, tunnel.Every = func(m Move) { moved <- m }, 50*time.Millisecond
	go Follow(t.Context(), tunnel)
	select {
	case m := <-moved:
		if m.To.String() != "203.0.113.20:51820" {
			t.Errorf("moved to %s", m.To)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the tunnel did not move")
	}
	device, err := client.Device("stek-vpn")
	if err != nil || len(device.Peers) != 1 || device.Peers[0].Endpoint.String() != "203.0.113.20:51820" || len(device.Peers[0].AllowedIPs) != 1 {
		t.Errorf("got %+v, %v", device, err)
	}
}

func newKey(t *testing.T) wgtypes.Key {
	t.Helper()
	k, err := wgtypes.GeneratePrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}
