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
	alive := func() bool {
		device, err = client.Device(t.Interface)
		return err == nil && len(silentPeers(device, time.Now())) == 0
	}
	if !alive() && err == nil {
		// A packet into the tunnel is what makes WireGuard shake hands.
		nudge(device)
		wait(ctx, p.Handshake, alive)
	}
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return failed(FaultNoTunnel, "there is no tunnel "+t.Interface)
		}
		return failed(FaultNoTunnel, fmt.Sprintf("%s cannot be asked: %v", t.Interface, err))
	}
	return judgeTunnel(device, time.Now())
}

func judgeTunnel(d *wgtypes.Device, now time.Time) finding {
	if len(d.Peers) == 0 {
		return failed(FaultNoTunnel, "the tunnel "+d.Name+" has no peer")
	}
	silent := silentPeers(d, now)
	if len(silent) == 0 {
		return judgeLive(d, now)
	}
	var words []string
	for _, peer := range silent {
		words = append(words, fmt.Sprintf("%s… at %s does not shake hands (%d bytes sent, %d received)", short(peer.PublicKey), peer.Endpoint, peer.TransmitBytes, peer.ReceiveBytes))
	}
	f := failed(FaultTunnelSilent, strings.Join(words, "; "))
	f.do = fmt.Sprintf("check that the other end knows this box's public key %s, that both clocks are right, and that UDP to its port is let through", d.PublicKey)
	return f
}

// judgeLive is for a tunnel none of whose peers is silent: they shook hands, or nobody can
// know yet.
func judgeLive(d *wgtypes.Device, now time.Time) finding {
	live := 0
	for _, peer := range d.Peers {
		if !stale(peer, now) {
			live++
		}
	}
	saw := fmt.Sprintf("%d of %d peers shook hands", live, len(d.Peers))
	switch live {
	case 0:
		return skipped("no endpoint is known of any peer, and none has come yet")
	case len(d.Peers):
		return passed(saw)
	}
	return passed(saw + "; no endpoint is known of the others, which come by themselves")
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

// nudge sends one empty datagram to the first address behind each peer, to the
// discard port (RFC 863).
func nudge(d *wgtypes.Device) {
	for _, peer := range d.Peers {
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
