package network

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/preseed"
)

var update = flag.Bool("update", false, "write the golden files")

// answers reads the network of an answer file, whose other parts are always the same.
func answers(t *testing.T, network string) preseed.Network {
	t.Helper()
	text := "stek: 1\nencryption: {recovery: {show: true}}\n" + network
	a, err := preseed.Parse("box.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return preseed.Defaults(a).Network
}

// show writes files one below the other.
func show(files []File) string {
	var b strings.Builder
	for _, f := range files {
		if f.Link != "" {
			b.WriteString("== " + f.Path + " -> " + f.Link + "\n")
			continue
		}
		b.WriteString("== " + f.Path + " " + f.Mode.String() + "\n" + string(f.Data))
		if !strings.HasSuffix(string(f.Data), "\n") {
			b.WriteString("\n")
		}
	}
	return b.String()
}

var nics = []hardware.NIC{
	{Name: "enp1s0", Type: "ethernet", MAC: "dc:a6:32:00:00:01", Path: "pci-0000:01:00.0", Driver: "igc"},
	{Name: "enp2s0", Type: "ethernet", MAC: "dc:a6:32:00:00:02", Path: "pci-0000:02:00.0", Driver: "igc"},
	{Name: "wlp3s0", Type: "wifi", MAC: "5c:e0:c5:00:00:03", Path: "pci-0000:03:00.0", Driver: "iwlwifi"},
}

const (
	boxKey  = "GHuMwljFfqd2a7cs6BaUOmHflK23zME8VNvC5B37S3k=" // of the wg(8) manual's kind: made for this test
	peerKey = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
	psk     = "hBVzHQfEaXnQ/YVbVHnX9DcMSSgEqDnTTZgMPFNWF8g="
)

func TestRender(t *testing.T) {
	for _, name := range []string{"nothing-said", "offline", "fixed", "vlans", "wifi", "enterprise", "wireguard", "proxy", "several", "matched"} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("testdata", name+".yaml"))
			if err != nil {
				t.Fatal(err)
			}
			files, err := Render(answers(t, string(text)), Facts{Node: "kas-7", NICs: nics, TunnelKey: boxKey})
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".txt", show(files))
			for _, f := range files {
				checkFile(t, f)
			}
		})
	}
}

// checkFile: nothing outside /etc, and no secret that others can read.
func checkFile(t *testing.T, f File) {
	t.Helper()
	if !strings.HasPrefix(f.Path, "/etc/") || f.Link == "" && f.Mode == 0 {
		t.Errorf("%s: bad path or mode", f.Path)
	}
	for _, secret := range []string{boxKey, psk, "glass house", "letmein", "PRIVATE KEY", "p@ss"} {
		if strings.Contains(string(f.Data), secret) && f.Mode&0o077 != 0 {
			t.Errorf("%s holds a secret and has the mode %v", f.Path, f.Mode)
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s (run with -update after a look):\n%s", file, got)
	}
}

func TestRefuses(t *testing.T) {
	for _, c := range []struct{ name, network, want string }{
		{"no card fits", `network: {links: [{name: up, match: {mac: "00:11:22:33:44:55"}}]}`, "this machine has no ethernet (00:11:22:33:44:55) card that fits"},
		{"no radio", `network: {links: [{name: hall, match: {mac: "dc:a6:32:*"}, wifi: {ssid: x, security: open}}]}`, "no wifi (dc:a6:32:*) card"},
		{"a fixed address on two cards", `network: {links: [{name: up, addresses: [10.0.0.2/24]}]}`, "fits 2 cards"},
		{"no card there", `network: {links: [{name: up, match: {path: "pci-0000:03:00.0", driver: igc}}]}`,
			"this machine has no ethernet (pci-0000:03:00.0, igc) card that fits; correct match, or plug the card in; the machine has enp1s0 (ethernet, dc:a6:32:00:00:01, pci-0000:01:00.0, igc)"},
		{"a fixed address on a driver's two cards", `network: {links: [{name: up, match: {driver: igc}, addresses: [10.0.0.2/24]}]}`, "choose one with match.mac or match.path"},
		{"a VLAN on two cards", `network: {links: [{name: up, vlan: 5}]}`, "fits 2 cards"},
		{"a VLAN named as a card", `network: {links: [{name: enp2s0, match: {mac: "dc:a6:32:00:00:01"}, vlan: 5}]}`, "this name is taken"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Render(answers(t, c.network), Facts{NICs: nics, TunnelKey: boxKey})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestPlaces: whatever a match adds to another one, it comes before it, and no two kinds of
// match are in one place: networkd takes the first file that fits.
func TestPlaces(t *testing.T) {
	var all []preseed.LinkMatch
	for _, mac := range []preseed.MACPattern{"", "dc:a6:32:*", "dc:a6:32:00:00:01"} {
		for _, path := range []string{"", "pci-0000:01:00.0"} {
			for _, driver := range []string{"", "igc"} {
				all = append(all, preseed.LinkMatch{MAC: mac, Path: path, Driver: driver})
			}
		}
	}
	adds := func(a, b preseed.LinkMatch) bool { // to b
		return strings.HasPrefix(string(a.MAC), strings.TrimSuffix(string(b.MAC), "*")) &&
			strings.HasPrefix(a.Path, b.Path) && strings.HasPrefix(a.Driver, b.Driver)
	}
	for i, a := range all {
		for j, b := range all {
			first, second := (&card{match: a}).place(), (&card{match: b}).place()
			if i != j && (first == second || adds(a, b) && first > second) {
				t.Errorf("%q has the place %d, %q has %d", a, first, b, second)
			}
		}
	}
}

func TestTunnelKey(t *testing.T) {
	key, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewKey()
	if err != nil || key.Reveal() == other.Reveal() {
		t.Fatalf("two keys are the same (%v)", err)
	}
	public, err := PublicKey(key)
	if err != nil || len(public) != 44 || public == key.Reveal() {
		t.Errorf("got %q, %v", public, err)
	}
	if _, err := PublicKey("nonsense"); err == nil || strings.Contains(err.Error(), "nonsense") {
		t.Errorf("got %v", err)
	}
	n := answers(t, `network: {vpn: {wireguard: {address: 10.77.0.7/32, peers: [{public-key: "`+peerKey+`", endpoint: "vpn.example.org:51820", allowed-ips: [10.77.0.0/16]}]}}}`)
	if _, err := Render(n, Facts{}); err == nil {
		t.Error("a tunnel was rendered without a key")
	}
}

func TestWarnings(t *testing.T) {
	const open, country, hidden = "everybody near it can listen", "network.country is not given", "hides its name"
	for _, c := range []struct {
		name, network string
		want          []string
	}{
		{"open, no country", `network: {links: [{name: hall, wifi: {ssid: Kas 7, security: open}}, {name: yard, wifi: {ssid: Kas 8, security: wpa2, psk: "glass house"}}]}`, []string{country, open}},
		{"hidden, before a spare one", `network: {country: NL, links: [{name: hall, priority: 9, wifi: {ssid: Kas 7, security: wpa2, psk: "glass house"}}, {name: yard, priority: 5, wifi: {ssid: Kas 8, hidden: true, security: wpa2, psk: "glass house"}}]}`, []string{hidden}},
		{"hidden, as the spare one", `network: {country: NL, links: [{name: hall, priority: 5, wifi: {ssid: Kas 7, security: wpa2, psk: "glass house"}}, {name: yard, priority: 9, wifi: {ssid: Kas 8, hidden: true, security: wpa2, psk: "glass house"}}]}`, nil},
		{"different addresses", `network: {country: NL, links: [{name: hall, addresses: [10.9.0.5/24], wifi: {ssid: Kas 7, security: wpa2, psk: "glass house"}}, {name: yard, wifi: {ssid: Kas 8, security: wpa2, psk: "glass house"}}]}`, nil},
		{"cables", `network: {links: [{name: up, addresses: [10.0.0.2/24]}]}`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Warnings(answers(t, c.network))
			for i, want := range c.want {
				if len(got) != len(c.want) || !strings.Contains(got[i], want) {
					t.Fatalf("got %q, want %q", got, c.want)
				}
			}
			if len(got) != len(c.want) {
				t.Errorf("got %q", got)
			}
		})
	}
}

// TestJoinedFiles: a network that is named twice has one file, that of the preferred link.
func TestJoinedFiles(t *testing.T) {
	files, err := Render(answers(t, `network:
  links:
    - {name: old, priority: 50, addresses: [10.8.0.5/24], wifi: {ssid: "Kas 7", security: open}}
    - {name: new, priority: 10, wifi: {ssid: "Kas 7", security: wpa3, psk: "glass house 7"}}
`), Facts{NICs: nics})
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, f := range files {
		if strings.HasPrefix(f.Path, JoinedDir+"/") {
			found = append(found, f.Path)
			if !strings.Contains(string(f.Data), "DHCP=yes") {
				t.Errorf("%s is not that of the preferred link:\n%s", f.Path, f.Data)
			}
		}
	}
	if want := JoinedDir + "/" + JoinedFile("wifi0", "Kas 7"); len(found) != 1 || found[0] != want {
		t.Errorf("got %q, want %q", found, want)
	}
}
