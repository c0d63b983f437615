//go:build linux

package probe

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/stek-edge/stek/test/lan"
)

// TestTunnel: a tunnel to a real peer, and every way in which it can be none.
func TestTunnel(t *testing.T) {
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
			own, hub, known := newKey(t), newKey(t), newKey(t)
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

// TestTunnelByName: the name of an endpoint is looked up while the test runs already.
func TestTunnelByName(t *testing.T) {
	s := newSite(t)
	s.fixed(t)
	own, hub := newKey(t), newKey(t)
	s.WireGuard(t, lan.WireGuard{Name: "hub", Key: hub, Address: "10.77.0.1/24", Port: 51820, Peer: own.PublicKey(), Allowed: "10.77.0.7/32"})
	lan.BoxWireGuard(t, lan.WireGuard{Name: "stek-vpn", Key: own, Address: "10.77.0.7/24", Peer: hub.PublicKey(), Allowed: "10.77.0.0/24"})
	client, err := wgctrl.New()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	s.env.Handshake = Host().Handshake
	// The verdict before the tunnel's is when networkd begins.
	s.env.Seen = func(v Verdict) {
		if v.Stage != MTU {
			return
		}
		time.AfterFunc(time.Second, func() {
			peer := wgtypes.PeerConfig{PublicKey: hub.PublicKey(), UpdateOnly: true, Endpoint: &net.UDPAddr{IP: net.ParseIP(hubAt), Port: 51820}}
			if err := client.ConfigureDevice("stek-vpn", wgtypes.Config{Peers: []wgtypes.PeerConfig{peer}}); err != nil {
				t.Error(err)
			}
		})
	}
	s.want.Services = nil
	s.want.Tunnel = &Tunnel{Interface: "stek-vpn", Endpoints: []string{"hub.example.org:51820"}}
	if v := verdictOf(Run(t.Context(), s.want, s.env), TunnelStage); v.Outcome != Passed {
		t.Errorf("got %s, %s: %s", v.Outcome, v.Fault, v.Saw)
	}
}

// TestTunnelAwaited: the peer dials in, in its own time.
func TestTunnelAwaited(t *testing.T) {
	const said = "10.77.0.1:443 is reached through the VPN, to which no peer has come yet"
	for _, c := range []struct {
		name    string
		comes   bool
		behind  string // the service
		tunnel  Outcome
		service Outcome
		saw     string // of the service
	}{
		{"and has not yet", false, "10.77.0.1", Skipped, Skipped, said},
		{"and has not yet, and the service is elsewhere", false, "203.0.113.99", Skipped, Failed, "cannot be reached"},
		{"and comes while it is waited for", true, "10.77.0.1", Passed, Failed, "refuses the connection"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			s.fixed(t)
			own, hub := newKey(t), newKey(t)
			if c.comes {
				s.env.Handshake = Host().Handshake
				// It begins before the box listens, and tries again after 5 seconds.
				s.WireGuard(t, lan.WireGuard{Name: "hub", Key: hub, Address: "10.77.0.1/24", Peer: own.PublicKey(), Endpoint: "192.168.7.20:51820", Allowed: "10.77.0.7/32", Keepalive: 1})
			}
			lan.BoxWireGuard(t, lan.WireGuard{Name: "stek-vpn", Key: own, Address: "10.77.0.7/24", Port: 51820, Peer: hub.PublicKey(), Allowed: "10.77.0.0/24"})
			s.want.Tunnel = &Tunnel{Interface: "stek-vpn"}
			s.want.Services = []Service{{Name: "office", URL: mustURL(t, "https://"+c.behind)}}
			report := Run(t.Context(), s.want, s.env)
			if v := verdictOf(report, TunnelStage); v.Outcome != c.tunnel {
				t.Errorf("got %s, %s: %s", v.Outcome, v.Fault, v.Saw)
			}
			if v := verdictOf(report, Reach); v.Outcome != c.service || !strings.Contains(v.Saw, c.saw) {
				t.Errorf("got %s, %s: %s", v.Outcome, v.Fault, v.Saw)
			}
		})
	}
}

// TestBehind: a service is behind a tunnel if it is there by each of its addresses.
func TestBehind(t *testing.T) {
	networks := []netip.Prefix{netip.MustParsePrefix("10.77.0.0/16"), netip.MustParsePrefix("fd77::/64")}
	for addresses, want := range map[string]bool{
		"10.77.4.1": true, "fd77::1": true, "10.77.4.1 fd77::1": true, "10.78.0.1": false, "10.77.4.1 203.0.113.10": false, "": false,
	} {
		var all []netip.Addr
		for _, a := range strings.Fields(addresses) {
			all = append(all, netip.MustParseAddr(a))
		}
		if got := behind(all, networks); got != want {
			t.Errorf("%q: got %v", addresses, got)
		}
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

// verdictOf is the first one of a stage.
func verdictOf(r Report, s Stage) Verdict {
	for _, v := range r.Verdicts {
		if v.Stage == s {
			return v
		}
	}
	return Verdict{}
}

// TestJudgeTunnel: only who shook hands counts as that.
func TestJudgeTunnel(t *testing.T) {
	now := time.Now()
	endpoint := &net.UDPAddr{IP: net.IPv4(203, 0, 113, 10), Port: 51820}
	live := wgtypes.Peer{Endpoint: endpoint, LastHandshakeTime: now.Add(-time.Minute)}
	silent := wgtypes.Peer{Endpoint: endpoint}
	stale := wgtypes.Peer{Endpoint: endpoint, LastHandshakeTime: now.Add(-time.Hour)}
	comes := wgtypes.Peer{} // by itself, and has not yet
	for _, c := range []struct {
		name      string
		peers     []wgtypes.Peer
		endpoints int
		outcome   Outcome
		fault     Fault
		saw       string
	}{
		{"no peer", nil, 0, Failed, FaultNoTunnel, "has no peer"},
		{"all shook hands", []wgtypes.Peer{live, live}, 2, Passed, "", "2 of 2 peers shook hands"},
		{"one is silent", []wgtypes.Peer{live, silent}, 2, Failed, FaultTunnelSilent, "at 203.0.113.10:51820 does not shake hands"},
		{"one no longer answers", []wgtypes.Peer{stale}, 1, Failed, FaultTunnelSilent, "does not shake hands"},
		{"one is still to come", []wgtypes.Peer{live, comes}, 1, Passed, "", "1 of 2 peers shook hands; no endpoint is known of the others, which come by themselves"},
		{"all are still to come", []wgtypes.Peer{comes}, 0, Skipped, "", "no endpoint is known of any peer, and none has come yet"},
		{"the name of the only endpoint is not looked up yet", []wgtypes.Peer{comes}, 1, Failed, FaultTunnelSilent, "the tunnel knows the addresses of 0 of its 1 endpoints"},
		{"the name of one of two is not looked up yet", []wgtypes.Peer{live, comes}, 2, Failed, FaultTunnelSilent, "the tunnel knows the addresses of 1 of its 2 endpoints"},
		{"one is silent, and the name of the other not looked up yet", []wgtypes.Peer{silent, comes}, 2, Failed, FaultTunnelSilent, "received); the tunnel knows the addresses of 1 of its 2 endpoints"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := judgeTunnel(&wgtypes.Device{Name: "stek-vpn", Peers: c.peers}, c.endpoints, now)
			if f.outcome != c.outcome || f.fault != c.fault || !strings.Contains(f.saw, c.saw) {
				t.Errorf("got %s, %s: %s", f.outcome, f.fault, f.saw)
			}
		})
	}
}
