package preseed

import (
	"errors"
	"strings"
	"testing"
)

const siteText = `stek: 1
node: {name: "kas-{n}", site: westland-3}
encryption: {recovery: {show: true}}
network:
  ntp: [192.168.7.1]
  vpn:
    wireguard:
      peers: [{public-key: "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=", endpoint: "vpn.example.org:51820", allowed-ips: [10.77.0.0/16]}]
k3s: {labels: {crop: tomato}, disable: [traefik]}
boxes:
  - serial: PF3XQ9Z1
    disk: {match: {serial: "S4EV*"}, erase: true}
    network: {vpn: {wireguard: {address: 10.77.0.1/32}}}
  - mac: "DC:A6:32:01:02:03"
    node: {name: packing, timezone: Europe/Amsterdam}
    network: {vpn: {wireguard: {address: 10.77.0.2/32}}}
    k3s: {labels: {hall: "7"}}
`

// TestFor checks what one machine of a site gets.
func TestFor(t *testing.T) {
	file, err := Read("site.yaml", []byte(siteText))
	if err != nil {
		t.Fatal(err)
	}
	first, err := file.For(Machine{Serial: " pf3xq9z1 ", MACs: []string{"00:11:22:33:44:55"}})
	if err != nil {
		t.Fatal(err)
	}
	if first.Node.Name != "kas-1" || first.Node.Site != "westland-3" || !first.Disk.Erase || first.Disk.Match.Serial != "S4EV*" ||
		first.Network.VPN.WireGuard.Address.String() != "10.77.0.1/32" || len(first.Network.VPN.WireGuard.Peers) != 1 ||
		first.K3s.Labels["crop"] != "tomato" || len(first.Network.NTP) != 1 {
		t.Errorf("the first box gets\n%s", Redacted(first))
	}
	second, err := file.For(Machine{Serial: "none", MACs: []string{"00:11:22:33:44:55", "dc:a6:32:01:02:03"}})
	if err != nil {
		t.Fatal(err)
	}
	if second.Node.Name != "packing" || second.Node.Timezone != "Europe/Amsterdam" || second.Disk.Erase || second.Network.VPN.WireGuard.Address.String() != "10.77.0.2/32" ||
		second.K3s.Labels["hall"] != "7" || second.K3s.Labels["crop"] != "" || len(second.K3s.Disable) != 1 {
		t.Errorf("the second box gets\n%s", Redacted(second))
	}
	// What is planned for a box is what its replay says, without the others.
	again, err := Parse("replay", Redacted(second))
	if err != nil || !sameAnswers(*again, *second) {
		t.Errorf("the replay of the second box: %v\n%s", err, Redacted(second))
	}
	first.Network.VPN.WireGuard.Peers[0].Keepalive = 99
	*first.Network.VPN.WireGuard = WireGuard{}
	if other, _ := file.For(Machine{Serial: "PF3XQ9Z1"}); other.Network.VPN.WireGuard.Address.String() != "10.77.0.1/32" || other.Network.VPN.WireGuard.Peers[0].Keepalive != 0 {
		t.Error("the answers of a box are not a copy")
	}
	_, err = file.For(Machine{Serial: "PF3XQ9Z2", MACs: []string{"00:11:22:33:44:55"}})
	if !errors.Is(err, ErrNotListed) || !strings.Contains(err.Error(), "did you mean it by the serial number PF3XQ9Z1?") {
		t.Errorf("a machine that is not listed: %v", err)
	}
	if _, err = file.For(Machine{Serial: "PF3XQ9Z1", MACs: []string{"dc:a6:32:01:02:03"}}); err == nil || !strings.Contains(err.Error(), "site.yaml:14:5: boxes[0] and boxes[1] are both this machine") {
		t.Errorf("a machine that is listed twice: %v", err)
	}

	_, err = Read("site.yaml", []byte(strings.Replace(siteText, "kas-{n}", "kas-{serial}", 1)+"other-boxes: install\n"))
	if err == nil || !strings.Contains(err.Error(), "network.vpn.wireguard.address is missing") {
		t.Errorf("what is said for all is incomplete, and other boxes are installed: %v", err)
	}
	open, err := Read("site.yaml", []byte("stek: 1\nencryption: {recovery: {show: true}}\nother-boxes: install\nboxes: [{serial: A7, node: {name: kas-7}}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	if a, err := open.For(Machine{Serial: "other"}); err != nil || a.Node.Name != "" {
		t.Errorf("a machine that is not listed and welcome: %v", err)
	}
}

// TestNotBuiltInFile checks that an installation is told where the parts stand that
// this version does not carry out, and that a check does not mind them.
func TestNotBuiltInFile(t *testing.T) {
	file, err := Read("f", []byte(`stek: 1
encryption: {unlock: [tpm2, key-stick], recovery: {show: true}}
power: {profile: saver}
site: {stack: []}
boxes:
  - {serial: A1}
  - {serial: B2, power: {night: "22:00-06:00"}, k3s: {role: server-join, server: "https://10.0.0.1:6443", token: secret:t}}
secrets: {file: s.age}
`))
	if err != nil {
		t.Fatal(err)
	}
	for serial, want := range map[string]string{
		"A1": "f:2:29: encryption.unlock[1]: \"key-stick\" is not in this version of stek; use tpm2 or passphrase\n" +
			"f:3:8: power: not in this version of stek; remove it, or install with a version that has it",
		"B2": "f:2:29: encryption.unlock[1]: \"key-stick\" is not in this version of stek; use tpm2 or passphrase\n" +
			"f:7:25: power: not in this version of stek; remove it, or install with a version that has it\n" +
			"f:7:61: k3s.role: \"server-join\" is not in this version of stek; use server or agent",
	} {
		if err := file.NotBuilt(Machine{Serial: serial}); err == nil || err.Error() != want {
			t.Errorf("%s: got\n%v\nwant\n%s", serial, err, want)
		}
	}
	none, err := Read("f", []byte("stek: 1\nencryption: {recovery: {show: true}}\nsite: {stack: []}\nask: []\n"))
	if err != nil || none.NotBuilt(Machine{}) != nil {
		t.Errorf("empty lists ask for nothing: %v, %v", err, none.NotBuilt(Machine{}))
	}
}
