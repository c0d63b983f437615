// Package endpoint leads a WireGuard tunnel after a peer whose address changes
// behind its DNS name. WireGuard itself looks a name up once and never again, so a
// head office with a new address would be lost to every box.
//
// Decide is pure. A peer is led to another address when its name has come to mean
// another one, or when it has long been silent and its name means another one. A
// peer that answers from an address that its name does not have is left alone: it
// may have several, or roam.
//
// The package must never touch keys or allowed networks, and asks the name servers
// outside the tunnel as everybody does.
//
//	endpoint.Follow(ctx, endpoint.Tunnel{Peers: peers, Lookup: lookup, Move: move, Every: time.Minute})
package endpoint

import (
	"context"
	"net/netip"
	"slices"
	"time"
)

// Silence is how long after the last handshake a peer counts as silent: a live
// tunnel renews its keys after 120 seconds (REKEY_AFTER_TIME of the WireGuard paper,
// section 6.1), and is given time to do so three times (REKEY_TIMEOUT).
const Silence = 135 * time.Second

// Interval is how often a node looks. A peer that has moved is then back within half a
// minute and the time that name servers keep an old answer.
const Interval = 30 * time.Second

// Peer is one other end as it is now.
type Peer struct {
	Key       string         // public
	Host      string         // name as configured
	Port      uint16         // as configured
	Current   netip.AddrPort // where packets go
	Handshake time.Time      // the last one, zero for none
}

// Move is what has to change.
type Move struct {
	Key string
	To  netip.AddrPort
}

// Decide says which peers move. names are what each host means now, before what it
// meant at the last look; a host that cannot be looked up is missing.
func Decide(peers []Peer, names, before map[string][]netip.Addr, now time.Time) []Move {
	var moves []Move
	for _, p := range peers {
		addresses := names[p.Host]
		if len(addresses) == 0 || p.Current.Port() == p.Port && slices.Contains(addresses, p.Current.Addr()) {
			continue
		}
		meant, known := before[p.Host]
		renamed := known && !same(meant, addresses)
		silent := now.Sub(p.Handshake) > Silence
		if renamed || silent || !p.Current.IsValid() {
			moves = append(moves, Move{p.Key, netip.AddrPortFrom(addresses[0], p.Port)})
		}
	}
	return moves
}

// same: name servers give the addresses of a name in any order.
func same(a, b []netip.Addr) bool {
	if len(a) != len(b) {
		return false
	}
	for _, x := range a {
		if !slices.Contains(b, x) {
			return false
		}
	}
	return true
}

// Tunnel is what Follow looks after.
type Tunnel struct {
	Peers  func() ([]Peer, error)
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	Move   func(Move) error
	Moved  func(Move) // may be nil
	Every  time.Duration
}

// Follow looks after a tunnel until ctx ends. A tunnel that is not there, a name
// that cannot be looked up and a kernel that refuses are tried again at the next
// look.
func Follow(ctx context.Context, t Tunnel) {
	before := map[string][]netip.Addr{}
	tick := time.NewTicker(t.Every)
	defer tick.Stop()
	for {
		before = t.look(ctx, before)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// look is one look; it returns what the names mean now, and where one cannot be
// looked up what it meant last.
func (t Tunnel) look(ctx context.Context, before map[string][]netip.Addr) map[string][]netip.Addr {
	peers, err := t.Peers()
	if err != nil {
		return before
	}
	names, next := map[string][]netip.Addr{}, map[string][]netip.Addr{}
	for _, p := range peers {
		if found, err := t.Lookup(ctx, p.Host); err == nil && len(found) > 0 {
			names[p.Host], next[p.Host] = found, found
		} else if last, known := before[p.Host]; known {
			next[p.Host] = last
		}
	}
	for _, m := range Decide(peers, names, before, time.Now()) {
		if err := t.Move(m); err == nil && t.Moved != nil {
			t.Moved(m)
		}
	}
	return next
}
