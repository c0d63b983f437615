package node

import (
	"context"
	"encoding/pem"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/k3s"
	"github.com/stek-edge/stek/installer/network"
	"github.com/stek-edge/stek/installer/network/keep"
	"github.com/stek-edge/stek/installer/preseed"
)

// changing is a node with one cable and one radio, below a folder. The programs that
// it would start are noted, and started where fail is nil.
func changing(t *testing.T, kept string, fail error) (n Network, started *[]string) {
	t.Helper()
	started = new([]string)
	dir := t.TempDir()
	n = Network{
		Keeper: keep.Keeper{Dir: filepath.Join(dir, "journal"), Root: dir},
		Cards: func(context.Context) ([]hardware.NIC, error) {
			return []hardware.NIC{{Name: "enp1s0", Type: "ethernet", MAC: "dc:a6:32:00:00:01"}, {Name: "wifi0", Type: "wifi", MAC: "dc:a6:32:00:00:02"}}, nil
		},
		Run: func(_ context.Context, name string, args ...string) error {
			*started = append(*started, strings.Join(append([]string{name}, args...), " "))
			return fail
		},
		Host: func() (string, error) { return "kas-7", nil },
	}
	if kept == "" {
		return n, started
	}
	config, err := keep.Make(answered(t, kept), network.Facts{Node: "kas-7", TunnelKey: "GHuMwljFfqd2a7cs6BaUOmHflK23zME8VNvC5B37S3k="})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(n.Keeper.Write(keep.Config{}, config), n.Keeper.Adopt(config)); err != nil {
		t.Fatal(err)
	}
	return n, started
}

func answered(t *testing.T, text string) preseed.Network {
	t.Helper()
	a, err := preseed.Parse("box.yaml", []byte("stek: 1\nencryption: {recovery: {show: true}}\nnetwork: "+text+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	return a.Network
}

const (
	cable  = "{links: [{name: up, addresses: [10.0.0.2/24]}]}"
	hall   = `{links: [{name: hall, wifi: {ssid: Kas 7, security: wpa3, psk: "glass house 7"}}]}`
	tunnel = `{vpn: {wireguard: {address: 10.77.0.7/32, peers: [{public-key: "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=", endpoint: "vpn.example.org:51820", allowed-ips: [10.77.0.0/16]}]}}}`
)

// TestChange: a change is in the journal before the unit that carries it out starts,
// and nothing of it is in place yet.
func TestChange(t *testing.T) {
	n, started := changing(t, cable, nil)
	id, err := n.Change(t.Context(), answered(t, hall), 0)
	if err != nil {
		t.Fatal(err)
	}
	s, err := n.Keeper.Load()
	if err != nil || s.Trial == nil || s.Trial.Config.ID() != id {
		t.Fatalf("the journal has %+v, %v", s.Trial, err)
	}
	if want := []string{"systemctl start --no-block " + trialUnit}; !slices.Equal(*started, want) {
		t.Errorf("started %q", *started)
	}
	if _, err := os.Stat(filepath.Join(n.Keeper.Root, "/etc/wpa_supplicant/wpa_supplicant-wifi0.conf")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the new network is in place already: %v", err)
	}
	if _, err := n.Change(t.Context(), answered(t, cable), 0); !errors.Is(err, keep.ErrBusy) {
		t.Errorf("a second change at once: %v", err)
	}
}

func TestChangeRefused(t *testing.T) {
	for _, c := range []struct {
		name, kept, wanted string
		want               error
		status             installer.Status
	}{
		{"no node", "", cable, ErrNoNetwork, installer.StatusFailed},
		{"the tunnel's address", tunnel, strings.ReplaceAll(tunnel, "10.77.0.7", "10.77.0.8"), nil, installer.StatusRefused},
		{"no such card", cable, `{links: [{name: up, match: {mac: "00:11:22:33:44:55"}}]}`, nil, installer.StatusFailed},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, started := changing(t, c.kept, nil)
			_, err := n.Change(t.Context(), answered(t, c.wanted), 0)
			if err == nil || c.want != nil && !errors.Is(err, c.want) || installer.StatusOf(err) != c.status {
				t.Errorf("got %v, status %d", err, installer.StatusOf(err))
			}
			if s, err := n.Keeper.Load(); err != nil || s.Trial != nil || len(*started) != 0 {
				t.Errorf("something was begun: %+v, %v, %q", s.Trial, err, *started)
			}
		})
	}
}

// TestChangeNotStarted: when nothing carries the change out, it is taken back.
func TestChangeNotStarted(t *testing.T) {
	refused := errors.New("no systemd")
	n, _ := changing(t, cable, refused)
	if _, err := n.Change(t.Context(), answered(t, hall), 0); !errors.Is(err, refused) {
		t.Fatalf("got %v", err)
	}
	if s, err := n.Keeper.Load(); err != nil || s.Trial != nil {
		t.Errorf("the journal has %+v, %v", s.Trial, err)
	}
}

// TestTunnelKeyStays: a change keeps the key that the other end knows.
func TestTunnelKeyStays(t *testing.T) {
	n, _ := changing(t, tunnel, nil)
	if _, err := n.Change(t.Context(), answered(t, strings.ReplaceAll(tunnel, "vpn.example.org", "vpn2.example.org")), 0); err != nil {
		t.Fatal(err)
	}
	s, err := n.Keeper.Load()
	if err != nil {
		t.Fatal(err)
	}
	key := func(c keep.Config) string {
		for _, f := range c.Files {
			if f.Path == network.TunnelKeyPath {
				return string(f.Data)
			}
		}
		return ""
	}
	if was, will := key(s.Kept), key(s.Trial.Config); was == "" || was != will {
		t.Error("the tunnel gets another key")
	}
}

// TestSettle: a trial that was cut short is over, with what the moment needs.
func TestSettle(t *testing.T) {
	n, started := changing(t, cable, nil)
	if past, err := n.Settle(t.Context(), false); err != nil || past != nil || len(*started) != 0 {
		t.Fatalf("without a trial: %+v, %v, %q", past, err, *started)
	}
	if _, err := n.Change(t.Context(), answered(t, hall), 0); err != nil {
		t.Fatal(err)
	}
	*started = nil
	past, err := n.Settle(t.Context(), false)
	if err != nil || past == nil || past.Kept {
		t.Fatalf("got %+v, %v", past, err)
	}
	if want := []string{"systemctl daemon-reload"}; !slices.Equal(*started, want) {
		t.Errorf("started %q", *started)
	}
}

// TestServices: what this machine's network is tested by goes on to an agent's server. A
// server's own k3s is none of its network.
func TestServices(t *testing.T) {
	own := httptest.NewTLSServer(nil)
	defer own.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.Certificate().Raw})
	for name, c := range map[string]struct {
		config string
		want   string
	}{
		"an agent": {"server: https://10.77.0.1:6443\n", "https://10.77.0.1:6443"},
		"a server": {"node-name: kas-7\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for at, text := range map[string][]byte{k3s.ConfigPath: []byte(c.config), "/var/lib/rancher/k3s/agent/server-ca.crt": ca} {
				file := filepath.Join(root, at)
				if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, text, 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			got := networkBelow(root).Services
			if c.want == "" {
				if len(got) != 0 {
					t.Errorf("got %+v", got)
				}
				return
			}
			if len(got) != 1 || got[0].URL.String() != c.want || !got[0].Direct || got[0].Roots == nil {
				t.Errorf("got %+v", got)
			}
		})
	}
}
