package installer

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/network"
	"github.com/stek-edge/stek/installer/network/keep"
	"github.com/stek-edge/stek/test/golden"
	"github.com/stek-edge/stek/test/machines"
)

// testKey is a key pair's private half, made for this test.
const (
	testKey  = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg1T8YKITlSJ6tYJP9"
	testCert = `"-----BEGIN CERTIFICATE-----\nMIIBiTCCAS+gAwIBAgIUJtov7FekV4AhGRLVA5DO15KYi0kwCgYIKoZIzj0EAwIw\nGTEXMBUGA1UEAwwOc2l0ZSBhdXRob3JpdHkwIBcNMjYxMTI2MDEyMDMwWhgPMjEy\nNjExMDIwMTIwMzBaMBkxFzAVBgNVBAMMDnNpdGUgYXV0aG9yaXR5MFkwEwYHKoZI\nzj0CAQYIKoZIzj0DAQcDQgAEqhLWAZMmbqgu1s1sx/BUZFX6iTkcVhgH7pM6lda4\nkXtqZljshrFwpNEkN7RVXKhR+MWgaUqKIwk88zHMOE8C96NTMFEwHQYDVR0OBBYE\nFEf3myDQ4QQmIxUQU23iIL1qlQqgMB8GA1UdIwQYMBaAFEf3myDQ4QQmIxUQU23i\nIL1qlQqgMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIgbNrvbfeg\ngtxFBAgSFI4fRkp+O/SK0/YyEKRR5axMG+4CIQCvZyt2sWm6gLGGq0XV6j3u3E0Q\ndiw9dvrypOIg9/V4Yg==\n-----END CERTIFICATE-----\n"`
	radios   = `network:
  country: NL
  links:
    - {name: uplink, match: {mac: "48:21:0b:12:34:56"}, priority: 10, addresses: [192.168.7.20/24], gateway: 192.168.7.1}
    - {name: hall, priority: 20, wifi: {ssid: Kas 7, security: wpa3, psk: glass-house-7}}
    - {name: old, priority: 30, wifi: {ssid: Kas 6, hidden: true, security: wpa2, psk: glass-house-6}}
    - {name: guests, priority: 40, addresses: [10.9.0.5/24], gateway: 10.9.0.1, wifi: {ssid: guests, security: open}}
    - {name: staff, wifi: {ssid: staff, security: enterprise, eap: {method: peap, identity: box-7, password: let-me-in, ca: ` + testCert + `}}}
    - {name: boxes, wifi: {ssid: boxes, security: enterprise, eap: {method: tls, identity: box-8, ca: ` + testCert + `, certificate: ` + testCert + `,
       private-key: "-----BEGIN PRIVATE KEY-----\n` + testKey + `\nip/tcEmTFlyOj75ZQ0m1Q0kO/NmhRANCAASqEtYBkyZuqC7WzWzH8FRkVfqJORxW\nGAfukzqV1riRe2pmWOyGsXCk0SQ3tFVcqFH4xaBpSoojCTzzMcw4TwL3\n-----END PRIVATE KEY-----\n"}}}
  proxy: {url: "http://proxy.example.org:3128", username: box, password: hush-hush, no-proxy: [.example.org], ca: ` + testCert + `}
`
)

// networkSecrets are what no file may show to others, and no plan at all.
var networkSecrets = []string{"glass-house", "let-me-in", testKey, "hush-hush"}

// radioPC is a mini PC with a radio.
func radioPC(t testing.TB) *hardware.Inventory {
	inv := machines.Load(t, "mini-pc")
	inv.NICs = append(inv.NICs, hardware.NIC{Name: "wlp3s0", MAC: "5c:e0:c5:00:00:03", Driver: "iwlwifi", Type: "wifi", Path: "pci-0000:03:00.0"})
	return inv
}

// TestPlanNetwork: a plan tells of every way out, and of no secret.
func TestPlanNetwork(t *testing.T) {
	plan, err := Make(answers(t, smallest+radios), radioPC(t), image(), testIDs())
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := WritePlan(&b, plan); err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "plan-radios.txt", b.Bytes())
	text, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range networkSecrets {
		if bytes.Contains(append(b.Bytes(), text...), []byte(secret)) {
			t.Errorf("the plan has the secret %q", secret)
		}
	}
}

// TestLayRadios: an installed box finds its radio's networks and its proxy at the
// first start, in files that only root reads.
func TestLayRadios(t *testing.T) {
	a := answers(t, smallest+radios)
	plan, err := Make(a, radioPC(t), image(), testIDs())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := layNode(dir, plan, a, nil, ""); err != nil {
		t.Fatal(err)
	}
	etc := filepath.Join(dir, stateEtc)
	if to, err := os.Readlink(filepath.Join(etc, "systemd/system/sys-subsystem-net-devices-wifi0.device.wants/wpa_supplicant@wifi0.service")); err != nil || to != "/usr/lib/systemd/system/wpa_supplicant@.service" {
		t.Errorf("nothing starts wpa_supplicant: %s, %v", to, err)
	}
	for path, wants := range map[string][]string{
		"wpa_supplicant/wpa_supplicant-wifi0.conf": {"country=NL\n", `sae_password="glass-house-7"`, `psk="glass-house-6"`, "scan_ssid=1", `password="let-me-in"`},
		"wpa_supplicant/boxes-key.pem":             {testKey},
		"stek/network/proxy.env":                   {"http://box:hush-hush@proxy.example.org:3128", "SSL_CERT_DIR=/etc/stek/network/ca"},
	} {
		text, err := os.ReadFile(filepath.Join(etc, path))
		for _, want := range wants {
			if err != nil || !strings.Contains(string(text), want) {
				t.Errorf("%s lacks %q (%v)", path, want, err)
			}
		}
	}
	onlyRoot(t, dir, networkSecrets)
}

// onlyRoot checks that no secret is in a file that others can read.
func onlyRoot(t *testing.T, dir string, secrets []string) {
	t.Helper()
	found := map[string]bool{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		for _, secret := range secrets {
			if !bytes.Contains(text, []byte(secret)) {
				continue
			}
			found[secret] = true
			if info.Mode()&0o077 != 0 {
				t.Errorf("%s holds a secret and has the mode %v", path, info.Mode())
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range secrets {
		if !found[secret] {
			t.Errorf("the secret %q is nowhere, so that nothing was tested", secret)
		}
	}
}

const tunnelAndProxy = smallest + `network:
  links:
    - {name: uplink, match: {mac: "48:21:0b:12:34:56"}, addresses: [192.168.7.20/24], gateway: 192.168.7.1}
  vpn: {wireguard: {address: 10.77.0.7/32, private-key: generate, peers: [{public-key: "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=", endpoint: "vpn.example.org:51820", allowed-ips: [10.77.0.0/16]}]}}
  proxy: {url: "http://proxy.example.org:3128", username: box, password: hush-hush}
`

// TestLayNetwork: the cluster knows the node by the address of the tunnel, and every
// secret of the network is in files that only root reads.
func TestLayNetwork(t *testing.T) {
	a := answers(t, tunnelAndProxy)
	plan, err := plan(a, machines.Load(t, "mini-pc"), image(), testIDs())
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
	onlyRoot(t, dir, []string{key, "hush-hush"})
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
			_, err := plan(a, machines.Load(t, "mini-pc"), image(), testIDs())
			var r *Refusal
			if !errors.As(err, &r) || r.Status != c.status || !strings.Contains(r.Message, c.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}
