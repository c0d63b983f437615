package installer

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stek-edge/stek/installer/network"
	"github.com/stek-edge/stek/installer/network/keep"
)

const radioAndTunnel = smallest + `network:
  links:
    - {name: uplink, match: {mac: "48:21:0b:12:34:56"}, addresses: [192.168.7.20/24], gateway: 192.168.7.1}
  vpn: {wireguard: {address: 10.77.0.7/32, private-key: generate, peers: [{public-key: "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=", endpoint: "vpn.example.org:51820", allowed-ips: [10.77.0.0/16]}]}}
  proxy: {url: "http://proxy.example.org:3128", username: box, password: hush-hush}
`

// TestLayNetwork: the cluster knows the node by the address of the tunnel, and every
// secret of the network is in files that only root reads.
func TestLayNetwork(t *testing.T) {
	a := answers(t, radioAndTunnel)
	plan, err := plan(a, machine(t, "mini-pc"), image(), testIDs())
	if err != nil {
		t.Fatal(err)
	}
	tunnel, err := network.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for range 2 { // a try that was cut short is taken up again
		if err := layNode(dir, plan, a, nil, tunnel); err != nil {
			t.Fatal(err)
		}
	}
	read := func(path string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			t.Error(err)
		}
		return string(text)
	}
	config := read("etc/upper/rancher/k3s/config.yaml")
	for _, want := range []string{"node-ip: 10.77.0.7\n", "flannel-iface: stek-vpn\n", "- 192.168.7.20\n"} {
		if !strings.Contains(config, want) {
			t.Errorf("the cluster's configuration lacks %q:\n%s", want, config)
		}
	}
	key := strings.TrimSpace(read("etc/upper/credstore/network.wireguard.stek.key"))
	if key != tunnel.Reveal() {
		t.Errorf("the tunnel's key is another one")
	}
	if strings.Contains(read(NodeRecord), key) {
		t.Error("the tunnel's key is in the record of the installation")
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		for _, secret := range []string{key, "hush-hush"} {
			if bytes.Contains(text, []byte(secret)) && info.Mode()&0o077 != 0 {
				t.Errorf("%s holds a secret and has the mode %v", path, info.Mode())
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := keep.Keeper{Dir: filepath.Join(dir, NetworkJournal)}.Load()
	if err != nil || len(s.Kept.Files) == 0 || s.Trial != nil {
		t.Errorf("got %+v, %v", s.Trial, err)
	}
}

func TestPlanRefusesNetwork(t *testing.T) {
	for _, c := range []struct {
		name, network, want string
		status              Status
	}{
		{"no such card", `network: {links: [{name: up, match: {mac: "00:11:22:33:44:55"}}]}`, "this machine has no ethernet", StatusMissing},
		{"no radio", `network: {links: [{name: hall, wifi: {ssid: x, security: open}}]}`, "this machine has no wifi", StatusMissing},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := answers(t, smallest+c.network+"\n")
			_, err := plan(a, machine(t, "mini-pc"), image(), testIDs())
			var r *Refusal
			if !errors.As(err, &r) || r.Status != c.status || !strings.Contains(r.Message, c.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}
