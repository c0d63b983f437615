package installer

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stek-edge/stek/test/machines"
)

// TestLayAgent: an agent's token is in one file that only root reads, and its unit runs
// an agent at the address of the tunnel.
func TestLayAgent(t *testing.T) {
	a := answers(t, tunnelled+"k3s: {role: agent, server: \"https://10.77.0.1:6443\", token: hush-token}\n")
	plan, err := Make(a, machines.Load(t, "mini-pc"), image(), testIDs())
	if err != nil {
		t.Fatal(err)
	}
	var words strings.Builder
	if err := WritePlan(&words, plan); err != nil || !strings.Contains(words.String(), "k3s agent of https://10.77.0.1:6443\n") || strings.Contains(words.String(), "hush") {
		t.Errorf("the plan is\n%s%v", words.String(), err)
	}
	dir := t.TempDir()
	if err := layNode(dir, plan, a, nil, a.Network.VPN.WireGuard.PrivateKey); err != nil {
		t.Fatal(err)
	}
	holders := map[string]fs.FileMode{}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		name := strings.TrimPrefix(path, dir+"/")
		if strings.Contains(string(text), "hush-token") {
			holders[name] = info.Mode()
		}
		for want, in := range map[string]string{
			"etc/upper/rancher/k3s/config.yaml":                      "node-ip: 10.77.0.7\n",
			"etc/upper/systemd/system/k3s.service.d/stek-agent.conf": "ExecStart=/usr/bin/k3s agent\n",
		} {
			if name == want && !strings.Contains(string(text), in) {
				t.Errorf("%s lacks %q:\n%s", name, in, text)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(holders) != 1 || holders["etc/upper/rancher/k3s/token"] != 0o600 {
		t.Errorf("the token is in %v", holders)
	}
}
