//go:build linux

package probe

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"
)

// rejectAfter is how old a handshake may be before its keys are no longer used
// (REJECT_AFTER_TIME of the WireGuard paper, section 6.1).
const rejectAfter = 180 * time.Second

// tunnel asks every peer of the tunnel for a handshake.
func (p *prober) tunnel(ctx context.Context) {
	began := time.Now()
	if p.want.Tunnel == nil {
		p.add(TunnelStage, "", began, skipped("no VPN is configured"))
		return
	}
	p.add(TunnelStage, "", began, p.handshake(ctx, *p.want.Tunnel))
}

func (p *prober) handshake(ctx context.Context, t Tunnel) finding {
	for _, e := range t.Endpoints {
		host, _, err := net.SplitHostPort(e)
		if err != nil {
			return failed(FaultTunnelEndpoint, fmt.Sprintf("%s is no endpoint", e))
		}
		if _, err := p.lookup(ctx, host); err != nil {
			return failed(FaultTunnelEndpoint, err.Error())
		}
	}
	client, err := wgctrl.New()
	if err != nil {
		return failed(FaultNoTunnel, fmt.Sprintf("WireGuard cannot be asked: %v", err))
	}
	defer client.Close()
	var device *wgtypes.Device
	done := func() bool {
		device, err = client.Device(t.Interface)
		return err == nil && settled(device, len(t.Endpoints), time.Now())
	}
	if !done() && err == nil {
		nudged := 0
		wait(ctx, p.Handshake, func() bool {
			if done() {
				return true
			}
			// A packet into the tunnel is what makes WireGuard shake hands, and one for a
			// peer whose endpoint is not known yet is dropped.
			if err == nil && asked(device) > nudged {
				nudge(device)
				nudged = asked(device)
			}
			return false
		})
	}
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return failed(FaultNoTunnel, "there is no tunnel "+t.Interface)
		}
		return failed(FaultNoTunnel, fmt.Sprintf("%s cannot be asked: %v", t.Interface, err))
	}
	f := judgeTunnel(device, len(t.Endpoints), time.Now())
	if f.outcome == Skipped {
		p.awaited = networks(device)
	}
	return f
}

// settled reports whether nothing more is to be waited for: all that are asked shook hands,
// or, where none is asked, somebody came. endpoints is how many are configured.
func settled(d *wgtypes.Device, endpoints int, now time.Time) bool {
	return len(d.Peers) == 0 || len(silentPeers(d, now)) == 0 && asked(d) >= endpoints && live(d, now) > 0
}

// judgeTunnel is for a tunnel for which endpoints are configured, of as many peers.
func judgeTunnel(d *wgtypes.Device, endpoints int, now time.Time) finding {
	if len(d.Peers) == 0 {
		return failed(FaultNoTunnel, "the tunnel "+d.Name+" has no peer")
	}
	silent, known := silentPeers(d, now), asked(d)
	if len(silent) == 0 && known >= endpoints {
		return judgeLive(d, now)
	}
	var words []string
	for _, peer := range silent {
		words = append(words, fmt.Sprintf("%s… at %s does not shake hands (%d bytes sent, %d received)", short(peer.PublicKey), peer.Endpoint, peer.TransmitBytes, peer.ReceiveBytes))
	}
	if known < endpoints {
		words = append(words, fmt.Sprintf("the tunnel knows the addresses of %d of its %d endpoints", known, endpoints))
	}
	f := failed(FaultTunnelSilent, strings.Join(words, "; "))
	if len(silent) == 0 {
		f.do = "test again in a minute: the names of endpoints are looked up until they are known"
		return f
	}
	f.do = fmt.Sprintf("check that the other end knows this box's public key %s, that both clocks are right, and that UDP to its port is let through", d.PublicKey)
	return f
}

// judgeLive is for a tunnel none of whose peers is silent: they shook hands, or nobody can
// know yet.
func judgeLive(d *wgtypes.Device, now time.Time) finding {
	came := live(d, now)
	saw := fmt.Sprintf("%d of %d peers shook hands", came, len(d.Peers))
	switch came {
	case 0:
		return skipped("no endpoint is known of any peer, and none has come yet")
	case len(d.Peers):
		return passed(saw)
	}
	return passed(saw + "; no endpoint is known of the others, which come by themselves")
}

// live is how many peers have keys in use.
func live(d *wgtypes.Device, now time.Time) int {
	n := 0
	for _, peer := range d.Peers {
		if !stale(peer, now) {
			n++
		}
	}
	return n
}

// networks are those behind the peers.
func networks(d *wgtypes.Device) []netip.Prefix {
	var all []netip.Prefix
	for _, peer := range d.Peers {
		for _, network := range peer.AllowedIPs {
			ones, _ := network.Mask.Size()
			all = append(all, netip.PrefixFrom(addr(network.IP), ones))
		}
	}
	return all
}

// behind reports whether every address is in one of the networks.
func behind(addresses []netip.Addr, networks []netip.Prefix) bool {
	for _, a := range addresses {
		if !slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(a) }) {
			return false
		}
	}
	return len(addresses) > 0
}

// asked is how many peers have an endpoint. One that is configured by name has none until
// systemd-networkd has looked the name up.
func asked(d *wgtypes.Device) int {
	n := 0
	for _, peer := range d.Peers {
		if peer.Endpoint != nil {
			n++
		}
	}
	return n
}

// silentPeers are those that are asked and have no keys in use. A peer without an endpoint
// comes to us, in its own time.
func silentPeers(d *wgtypes.Device, now time.Time) []wgtypes.Peer {
	var silent []wgtypes.Peer
	for _, peer := range d.Peers {
		if peer.Endpoint != nil && stale(peer, now) {
			silent = append(silent, peer)
		}
	}
	return silent
}

// stale reports whether a peer has no keys that are still used.
func stale(peer wgtypes.Peer, now time.Time) bool {
	return now.Sub(peer.LastHandshakeTime) > rejectAfter
}

func short(k wgtypes.Key) string { return base64.StdEncoding.EncodeToString(k[:])[:8] }

// nudge sends one empty datagram to the first address behind each peer that has an
// endpoint, to the discard port (RFC 863).
func nudge(d *wgtypes.Device) {
	for _, peer := range d.Peers {
		if peer.Endpoint == nil {
			continue
		}
		for _, network := range peer.AllowedIPs {
			a := addr(network.IP)
			if ones, bits := network.Mask.Size(); ones < bits {
				a = a.Next()
			}
			if conn, err := net.Dial("udp", netip.AddrPortFrom(a, 9).String()); err == nil {
				_, _ = conn.Write([]byte{0})
				conn.Close()
				break
			}
		}
	}
}
