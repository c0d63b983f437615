package keep

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/stek-edge/stek/installer/network"
	"github.com/stek-edge/stek/installer/preseed"
)

func TestReload(t *testing.T) {
	radio := network.File{Path: "/etc/systemd/system/sys-subsystem-net-devices-wifi0.device.wants/wpa_supplicant@wifi0.service", Link: "/usr/lib/systemd/system/wpa_supplicant@.service"}
	proxy := network.File{Path: network.ProxyEnvPath, Data: []byte("HTTP_PROXY=x\n")}
	tunnel := rendered(t, vpn)
	for _, c := range []struct {
		name        string
		before, now Config
		want, not   []string
	}{
		{"cables only", Config{}, Config{}, []string{"systemctl start systemd-networkd.service"}, []string{"udevadm", "k3s", "wpa"}},
		{"a radio comes", Config{}, Config{Files: []network.File{radio}}, []string{"udevadm trigger", "systemctl start wpa_supplicant@wifi0.service"}, []string{"stop wpa"}},
		{"a radio goes", Config{Files: []network.File{radio}}, Config{}, []string{"systemctl stop wpa_supplicant@wifi0.service"}, []string{"start wpa"}},
		{"the proxy changes", Config{}, Config{Files: []network.File{proxy}}, []string{"systemctl try-restart --no-block k3s.service"}, nil},
		{"the proxy stays", Config{Files: []network.File{proxy}}, Config{Files: []network.File{proxy}}, nil, []string{"k3s"}},
		{"the tunnel gets another peer", tunnel, rendered(t, strings.ReplaceAll(vpn, "10.77.0.0/16", "10.78.0.0/16")), []string{"systemctl try-restart --no-block k3s.service"}, nil},
		{"the tunnel stays", tunnel, rendered(t, "links: [{name: up, addresses: [10.0.0.2/24]}], "+vpn), nil, []string{"k3s"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var ran []string
			s := Systemd{Run: func(_ context.Context, name string, args ...string) error {
				ran = append(ran, name+" "+strings.Join(args, " "))
				return nil
			}}
			if err := s.Reload(t.Context(), c.before, c.now); err != nil {
				t.Fatal(err)
			}
			has := func(text string) bool {
				return slices.ContainsFunc(ran, func(line string) bool { return strings.Contains(line, text) })
			}
			for _, w := range c.want {
				if !has(w) {
					t.Errorf("%q did not run: %q", w, ran)
				}
			}
			for _, n := range c.not {
				if has(n) {
					t.Errorf("%q ran: %q", n, ran)
				}
			}
		})
	}
	// What was laid for a joined network is gone before networkd reads its files, and what
	// follows is started when the new ones are there.
	t.Run("a radio is followed anew", func(t *testing.T) {
		var ran []string
		s := Systemd{Run: func(_ context.Context, _ string, args ...string) error {
			ran = append(ran, strings.Join(args, " "))
			return nil
		}}
		if err := s.Reload(t.Context(), Config{}, Config{}); err != nil {
			t.Fatal(err)
		}
		at := -1
		for _, next := range []string{"stop stek-network-joined.service", "stop systemd-networkd.socket systemd-networkd.service",
			"start systemd-networkd.service", "start stek-network-joined.service"} {
			i := slices.Index(ran, next)
			if i <= at {
				t.Fatalf("%q is not in its place: %q", next, ran)
			}
			at = i
		}
	})
	broken := errors.New("no bus")
	s := Systemd{Run: func(context.Context, string, ...string) error { return broken }}
	if err := s.Reload(t.Context(), Config{}, Config{}); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

const vpn = `vpn: {wireguard: {address: 10.77.0.7/32, dns: [10.77.0.1], peers: [{public-key: "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=", preshared-key: "hBVzHQfEaXnQ/YVbVHnX9DcMSSgEqDnTTZgMPFNWF8g=", endpoint: "203.0.113.10:51820", allowed-ips: [10.77.0.0/16]}]}}`

// rendered is the configuration of a network, on a box whose key never changes.
func rendered(t *testing.T, text string) Config {
	t.Helper()
	a, err := preseed.Parse("box.yaml", []byte("stek: 1\nencryption: {recovery: {show: true}}\nnetwork: {"+text+"}\n"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := Make(a.Network, network.Facts{Node: "kas-7", TunnelKey: "GHuMwljFfqd2a7cs6BaUOmHflK23zME8VNvC5B37S3k="})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestChanged: which tunnels and VLANs are made anew, and which only get other addresses.
func TestChanged(t *testing.T) {
	const vlan = "links: [{name: up, addresses: [10.0.0.2/24]}, {name: cams, vlan: 5, addresses: [10.5.0.2/24]}]"
	otherKey := rendered(t, vpn)
	otherKey.Files = slices.Clone(otherKey.Files)
	for i, f := range otherKey.Files {
		if f.Path == network.TunnelKeyPath {
			otherKey.Files[i].Data = []byte("xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=")
		}
	}
	change := func(text, old, new string) Config {
		t.Helper()
		if !strings.Contains(text, old) {
			t.Fatalf("%q is not there to be changed", old)
		}
		return rendered(t, strings.ReplaceAll(text, old, new))
	}
	for _, c := range []struct {
		name                string
		before, now         Config
		remade, readdressed []string
	}{
		{"nothing", rendered(t, vpn), rendered(t, vpn), nil, nil},
		{"a cable", rendered(t, vpn), rendered(t, "links: [{name: up, priority: 5}], "+vpn), nil, nil},
		{"the tunnel comes", rendered(t, ""), rendered(t, vpn), []string{network.Tunnel}, nil},
		{"the tunnel goes", rendered(t, vpn), rendered(t, ""), []string{network.Tunnel}, nil},
		{"what the tunnel leads to", rendered(t, vpn), change(vpn, "10.77.0.0/16", "10.78.0.0/16"), []string{network.Tunnel}, nil},
		{"the tunnel's key", rendered(t, vpn), otherKey, []string{network.Tunnel}, nil},
		{"a peer's shared key", rendered(t, vpn), change(vpn, "hBVzHQfEaXnQ", "hBVzHQfEaXnR"), []string{network.Tunnel}, nil},
		{"the tunnel's name servers", rendered(t, vpn), change(vpn, "10.77.0.1", "10.77.0.2"), nil, []string{network.Tunnel}},
		{"a VLAN's number", rendered(t, vlan), change(vlan, "vlan: 5", "vlan: 6"), []string{"cams"}, nil},
		{"a VLAN's address", rendered(t, vlan), change(vlan, "10.5.0.2", "10.5.0.3"), nil, []string{"cams"}},
		{"the card below a VLAN", rendered(t, vlan), change(vlan, "name: cams,", "name: cams, match: {mac: \"dc:a6:32:00:00:01\"},"), []string{"cams"}, nil},
		{"a VLAN takes another's name", rendered(t, vlan), change(vlan, "cams", "phones"), []string{"cams", "phones"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			remade, readdressed := changed(c.before, c.now)
			if !slices.Equal(remade, c.remade) || !slices.Equal(readdressed, c.readdressed) {
				t.Errorf("made anew: %q, readdressed: %q; want %q and %q", remade, readdressed, c.remade, c.readdressed)
			}
		})
	}
}

func TestNetdevs(t *testing.T) {
	c := Config{Files: []network.File{
		{Path: "/etc/systemd/network/10-stek-cams-vlan.netdev", Data: []byte("# x\n[NetDev]\nName=cams\nKind=vlan\n")},
		{Path: "/etc/systemd/network/10-stek-cams-vlan.network", Data: []byte("[Match]\nName=other\n")},
	}}
	if got := netdevs(c); !slices.Equal(got, []string{"cams"}) {
		t.Errorf("got %q", got)
	}
}
