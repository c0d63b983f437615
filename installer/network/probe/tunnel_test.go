//go:build linux

package probe

import (
	"strings"
	"testing"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/stek-edge/stek/test/lan"
)

// TestTunnel: a tunnel to a real peer, and every way in which it can be none.
func TestTunnel(t *testing.T) {
	key := func() wgtypes.Key {
		k, err := wgtypes.GeneratePrivateKey()
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	for _, c := range []struct {
		name     string
		endpoint string // as configured
		knows    bool   // the peer knows this box's key
		made     bool
		fault    Fault
	}{
		{"works", "hub.example.org:51820", true, true, ""},
		{"the other end does not know this box", hubAt + ":51820", false, true, FaultTunnelSilent},
		{"a name that nobody knows", "vpn.example.org:51820", true, true, FaultDNSUnknown},
		{"no tunnel", hubAt + ":51820", true, false, FaultNoTunnel},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			s.fixed(t)
			own, hub, known := key(), key(), key()
			if c.knows {
				known = own
			}
			s.WireGuard(t, lan.WireGuard{Name: "hub", Key: hub, Address: "10.77.0.1/24", Port: 51820, Peer: known.PublicKey(), Allowed: "10.77.0.7/32"})
			if c.made {
				lan.BoxWireGuard(t, lan.WireGuard{Name: "stek-vpn", Key: own, Address: "10.77.0.7/24", Peer: hub.PublicKey(), Endpoint: hubAt + ":51820", Allowed: "10.77.0.0/24"})
			}
			if c.knows {
				s.env.Handshake = Host().Handshake // a first packet that gets lost is sent again after 5 seconds
			}
			s.want.Services = nil
			s.want.Tunnel = &Tunnel{Interface: "stek-vpn", Endpoints: []string{c.endpoint}}
			report := Run(t.Context(), s.want, s.env)
			v, failed := report.Failed()
			if failed != (c.fault != "") || v.Fault != c.fault {
				t.Errorf("got %s, %s: %s", v.Stage, v.Fault, v.Saw)
			}
			if c.fault == FaultTunnelSilent && !strings.Contains(v.Do, own.PublicKey().String()) {
				t.Errorf("what to do does not tell this box's public key: %s", v.Do)
			}
			for _, v := range report.Verdicts {
				if strings.Contains(v.Saw+v.Do, own.String()) {
					t.Error("the private key is in the report")
				}
			}
		})
	}
}
