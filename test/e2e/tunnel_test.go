//go:build e2e

package e2e

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/stek-edge/stek/test/lan"
	"github.com/stek-edge/stek/test/site"
	"github.com/stek-edge/stek/test/vm"
)

// mustReach waits until the box answers the office.
func mustReach(t *testing.T, o *lan.Office, when string, within time.Duration) {
	t.Helper()
	took, ok := o.Reaches(within)
	if !ok {
		t.Fatalf("%s: the box does not answer through the tunnel within %v", when, within)
	}
	t.Logf("%s: the box answers through the tunnel after %.1f s", when, took.Seconds())
}

// TestFullTunnel: an installed box has its tunnel at its first start, with a key that it
// made itself; the cluster knows it by the tunnel's address; both sides may start again in
// any order; a configuration that cuts the office off returns to the one before by itself,
// after its time and over a restart; and no clock that begins decades too early or too late
// keeps the box from its office.
func TestFullTunnel(t *testing.T) {
	ctx := t.Context()
	hub := lan.NewOffice(t, "10.77.0.1", "10.77.0.7")
	peer := fmt.Sprintf(`{public-key: "%s", endpoint: "10.0.2.2:%d", allowed-ips: [10.77.0.0/24], keepalive: 5}`, hub.Key.PublicKey(), hub.Port)
	s := newSite(t, site.Options{Network: `{vpn: {wireguard: {address: 10.77.0.7/32, private-key: generate, peers: [` + peer + `]}}}`})
	s.Machine.NICs = []vm.NIC{{MAC: boxMAC, User: &vm.UserNetwork{Open: true}}}
	box := powerOn(t, s, s.Machine)
	phase(t, "the public key is shown", func() (vm.Match, error) { return box.expectKey(t) })
	phase(t, "installed", func() (vm.Match, error) { return box.WaitInstalled(ctx) })
	phase(t, "Ready", func() (vm.Match, error) { return box.WaitReady(ctx) })
	must(t, box.LogIn(ctx))

	hub.Box = box.publicKey(t)
	hub.Up(t)
	mustReach(t, hub, "first start", 2*time.Minute)
	if own := box.run(t, "kubectl get node -o jsonpath={.items[0].status.addresses[0].address}"); strings.TrimSpace(own) != "10.77.0.7" {
		t.Errorf("the cluster knows the node by %s", own)
	}
	if flannel := box.run(t, "cat /run/flannel/subnet.env"); !strings.Contains(flannel, "FLANNEL_MTU=1370") {
		t.Errorf("the pods' packets do not fit the tunnel: %s", flannel)
	}
	if names := box.run(t, "openssl x509 -in /var/lib/rancher/k3s/server/tls/serving-kube-apiserver.crt -noout -ext subjectAltName 2>&1 || true"); strings.Contains(names, "Address") && !strings.Contains(names, "10.77.0.7") {
		t.Errorf("the API's certificate does not name the tunnel's address: %s", names)
	}
	if verdicts, err := box.Run(ctx, "stek network test"); !strings.Contains(verdicts, "passed   vpn") {
		t.Errorf("stek network test: %v\n%s", err, verdicts)
	}
	box.keepsTunnelKey(t)

	hub.Down()
	time.Sleep(10 * time.Second)
	hub.Up(t)
	mustReach(t, hub, "the office started again", 2*time.Minute)

	answers, err := os.ReadFile(filepath.Join(s.Dir, "preseed.yaml"))
	must(t, err)
	change := func(file, old, new string) {
		t.Helper()
		text := strings.Replace(string(answers), old, new, 1)
		box.run(t, "echo "+base64.StdEncoding.EncodeToString([]byte(text))+" | base64 -d > "+file)
	}

	// A change that does not concern the tunnel leaves it alone, with the pods' network on it.
	overlay := box.podNetwork(t)
	change("/root/ntp.yaml", "{vpn:", "{ntp: [10.0.2.2], vpn:")
	box.run(t, "stek network apply /root/ntp.yaml")
	if now := box.podNetwork(t); now != overlay {
		t.Errorf("the pods' network was the interface %s, and is %s", overlay, now)
	}

	// A network behind the tunnel that is not the office's: the handshake passes, and
	// nobody is there to confirm.
	change("/root/bad.yaml", "10.77.0.0/24", "10.99.0.0/24")
	box.try(t, "90s") // k3s starts anew meanwhile, and the box answers slowly
	if _, ok := hub.Reaches(5 * time.Second); ok {
		t.Error("the configuration on trial does not cut the office off")
	}
	mustReach(t, hub, "nobody confirmed", 4*time.Minute)
	box.podNetwork(t)
	if status := box.run(t, "stek network status"); strings.Contains(status, "tried") || !strings.Contains(status, "last") {
		t.Errorf("after the time: %s", status)
	}

	// Once more, and the power goes before the time is over. The office goes with it, and
	// comes later than the box.
	box.try(t, "30m")
	hub.Down()
	must(t, box.PowerCut())
	box = powerOn(t, s, s.WithoutStick())
	phase(t, "Ready after a power cut", func() (vm.Match, error) { return box.WaitReady(ctx) })
	hub.Up(t)
	mustReach(t, hub, "the box started again, then the office", 2*time.Minute)
	must(t, box.LogIn(ctx))
	if status := box.run(t, "stek network status"); strings.Contains(status, "tried") || !strings.Contains(status, "restart") {
		t.Errorf("after the restart: %s", status)
	}
	if now := box.publicKey(t); now != hub.Box {
		t.Error("the box has another key than before")
	}

	// The office stays up: it refuses a box whose time is before the last one that it saw.
	// The firmware leaves these years as they are; it makes 2070 of 1970.
	for _, year := range []int{2000, 2090} {
		box = box.startsIn(t, hub, year)
	}
}

// startsIn cuts the power, and starts the box with a clock in January of that year: it comes
// up all the same, its office takes it, and its time is one that can be.
func (b *testBox) startsIn(t *testing.T, hub *lan.Office, year int) *testBox {
	t.Helper()
	ctx := t.Context()
	// Written down now, and not within ten minutes: a handshake since then would be refused
	// for as long.
	before := b.seconds(t, "stek clock save; date +%s")
	must(t, b.PowerCut())
	m := b.site.WithoutStick()
	m.RTC = time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
	box := powerOn(t, b.site, m)
	when := fmt.Sprintf("the clock begins in %d", year)
	phase(t, "Ready, "+when, func() (vm.Match, error) { return box.WaitReady(ctx) })
	mustReach(t, hub, when, 2*time.Minute)
	must(t, box.LogIn(ctx))
	if now := box.seconds(t, "date +%s"); now < before || now > time.Now().Add(time.Minute).Unix() {
		t.Errorf("%s: before the power went it was %s, now it is %s", when, time.Unix(before, 0), time.Unix(now, 0))
	}
	if began := box.run(t, "journalctl -k -b | grep 'setting system clock to' || true"); !strings.Contains(began, fmt.Sprintf("to %d-01-01", year)) {
		t.Errorf("%s: the kernel says %s", when, began)
	}
	return box
}

// seconds runs a command that prints a time in seconds since 1970.
func (b *testBox) seconds(t *testing.T, command string) int64 {
	t.Helper()
	at, err := strconv.ParseInt(strings.TrimSpace(b.run(t, command)), 10, 64)
	must(t, err)
	return at
}

func (b *testBox) expectKey(t *testing.T) (vm.Match, error) {
	return b.prompt(t, `public key of this box's tunnel`)
}

// publicKey is the key in the box's report on the stick, and on the box the same.
func (b *testBox) publicKey(t *testing.T) (key wgtypes.Key) {
	t.Helper()
	printed := strings.TrimSpace(b.run(t, "stek network key | head -1"))
	file := filepath.Join(t.TempDir(), "wireguard.pub")
	must(t, b.site.Fetch(t.Context(), "stek/reports/"+site.BoxSerial+"/wireguard.pub", file))
	left, err := os.ReadFile(file)
	must(t, err)
	if strings.TrimSpace(string(left)) != printed {
		t.Errorf("the stick has the public key %s, the box prints %s", left, printed)
	}
	key, err = wgtypes.ParseKey(printed)
	must(t, err)
	return key
}

// keepsTunnelKey: only root reads the private key, and it is in no log, no list of
// processes and no report.
func (b *testBox) keepsTunnelKey(t *testing.T) {
	t.Helper()
	const file = "/etc/credstore/network.wireguard.stek.key"
	if mode := b.run(t, "stat -c %a:%U "+file); strings.TrimSpace(mode) != "600:root" {
		t.Errorf("the private key has mode and owner %s", mode)
	}
	b.nowhere(t, file, append(everywhere, environments)...)
	b.notReported(t, string(b.read(t, "cat "+file)))
}

// notReported: a secret is in nothing that the installation has left on the stick.
func (b *testBox) notReported(t *testing.T, secret string) {
	t.Helper()
	for _, name := range []string{"events.jsonl", "plan.json", "answers.yaml", "result.json", "inventory.json"} {
		to := filepath.Join(t.TempDir(), name)
		must(t, b.site.Fetch(t.Context(), "stek/reports/"+site.BoxSerial+"/"+name, to))
		text, err := os.ReadFile(to)
		must(t, err)
		if strings.Contains(string(text), secret) {
			t.Errorf("a secret is in the report's %s", name)
		}
	}
}

// podNetwork waits until the pods' network lies on the tunnel, and returns the number of its
// interface. k3s makes it when it starts.
func (b *testBox) podNetwork(t *testing.T) string {
	t.Helper()
	var links string
	for began := time.Now(); time.Since(began) < 3*time.Minute; time.Sleep(2 * time.Second) {
		if links = b.run(t, "ip -o -d link show type vxlan"); strings.Contains(links, "dev stek-vpn") {
			number, _, _ := strings.Cut(links, ":")
			return number
		}
	}
	t.Fatalf("the tunnel carries no pods' network: %q", links)
	return ""
}

// try starts a trial of the bad configuration and waits until its test has passed.
func (b *testBox) try(t *testing.T, within string) {
	t.Helper()
	b.run(t, "(stek network apply /root/bad.yaml --confirm-within "+within+" > /root/apply.log 2>&1 &)")
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(time.Second) {
		said := b.run(t, "cat /root/apply.log")
		if strings.Contains(said, "the test was passed") {
			return
		}
		if time.Now().After(deadline) || strings.Contains(said, "error") || strings.Contains(said, "is back") {
			t.Fatalf("the trial did not begin: %s\n%s", said, b.run(t, "journalctl -u stek-network-trial --no-pager | tail -40"))
		}
	}
}
