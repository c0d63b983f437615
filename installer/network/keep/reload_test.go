package keep

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/stek-edge/stek/installer/network"
)

func TestReload(t *testing.T) {
	radio := network.File{Path: "/etc/systemd/system/sys-subsystem-net-devices-wifi0.device.wants/wpa_supplicant@wifi0.service", Link: "/usr/lib/systemd/system/wpa_supplicant@.service"}
	proxy := network.File{Path: network.ProxyEnvPath, Data: []byte("HTTP_PROXY=x\n")}
	for _, c := range []struct {
		name        string
		before, now Config
		want, not   []string
	}{
		{"cables only", Config{}, Config{}, []string{"systemctl start systemd-networkd.service"}, []string{"udevadm", "k3s", "wpa"}},
		{"a radio comes", Config{}, Config{Files: []network.File{radio}}, []string{"udevadm trigger", "systemctl start wpa_supplicant@wifi0.service"}, []string{"stop wpa"}},
		{"a radio goes", Config{Files: []network.File{radio}}, Config{}, []string{"systemctl stop wpa_supplicant@wifi0.service"}, []string{"start wpa"}},
		{"the proxy changes", Config{}, Config{Files: []network.File{proxy}}, []string{"systemctl try-restart k3s.service"}, nil},
		{"the proxy stays", Config{Files: []network.File{proxy}}, Config{Files: []network.File{proxy}}, nil, []string{"k3s"}},
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
	broken := errors.New("no bus")
	s := Systemd{Run: func(context.Context, string, ...string) error { return broken }}
	if err := s.Reload(t.Context(), Config{}, Config{}); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
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
