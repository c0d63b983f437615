//go:build e2e

package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/stek-edge/stek/test/site"
	"github.com/stek-edge/stek/test/vm"
)

// airImage is an image whose boxes have a radio, and an access point "Kas 7" in reach:
// both are the kernel's simulation (testdata/air), started before anything else looks.
// /usr/lib/air/on and off switch it (hall) and a second one, "Kas 8" (spare).
func airImage(t *testing.T) string {
	t.Helper()
	_, image, err := site.BuildVariant(t.Context(), "../..", "stek-air",
		"--package", "hostapd,dnsmasq-base", "--module", "mac80211_hwsim", "--files", "testdata/air")
	must(t, err)
	return image
}

// TestFullScreenWiFi installs a box through the screens over WiFi. The key is wrong at
// first: the test says so by its name, it is corrected on the page, and nothing else is
// typed again. The node has the network at its first start.
func TestFullScreenWiFi(t *testing.T) {
	s, box := askingBox(t, site.Options{Silent: true, Image: airImage(t)}, nil)
	must(t, box.Console.Type(enter))
	const network = 5 // the page's place in toReview
	// Below the key: country, tunnel, proxy, time servers, the test.
	test := strings.Repeat(down, 5) + enter
	box.answer(t, toReview[:network]...)
	// Every cable, WiFi, no network: WiFi.
	box.answer(t, page{`How the box reaches others`, home + down + enter})
	box.findsNetwork(t)
	box.answer(t,
		page{`Kas 7, WPA2`, home + strings.Repeat(down, 3) + enter},
		// The key is eight below the network: button, name, hidden, four kinds, key.
		page{`\(x\) Kas 7`, strings.Repeat(down, 8) + "glass house 8" + test},
		page{`does not accept the key`, home + strings.Repeat(down, 11) + strings.Repeat("\b", len("glass house 8")) + "glass house 7" + test},
		page{`association.*joined`, end + enter})
	box.answer(t, toReview[network+1:]...)
	box.answer(t, page{`check the image on the stick`, "0001" + enter + enter})
	opensBy(t, s, box.comesUp(t))
}

// findsNetwork looks for networks until one is heard, as a person would: a busy machine may
// miss what an access point says.
func (b *testBox) findsNetwork(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); {
		// The button is the fourth thing on the page as long as there is no network on it.
		must(t, b.Console.Type(home+strings.Repeat(down, 3)+enter))
		m, err := b.sees(t, `(Kas 7, WPA2|Nothing was heard)`)
		must(t, err)
		if strings.HasPrefix(m.Groups[0], "Kas") {
			return
		}
	}
	t.Fatal("no network in reach")
}

// TestFullWiFi installs a box from an answer file with two WiFi networks. It is on the
// preferred one at its first start and after a power cut, goes over to the other when that
// one's access point goes away, and returns to it; each time with what is said of that
// network. The keys are in files that only root reads.
func TestFullWiFi(t *testing.T) {
	image := airImage(t)
	for _, c := range []struct{ name, spare string }{
		{"DHCP in both", ""},
		{"a fixed address in the spare one", "addresses: [10.8.0.77/24], gateway: 10.8.0.1, "},
	} {
		t.Run(c.name, func(t *testing.T) { betweenNetworks(t, image, c.spare) })
	}
}

// betweenNetworks is TestFullWiFi with the addresses that the spare network is to give.
func betweenNetworks(t *testing.T, image, spare string) {
	ctx := t.Context()
	s := newSite(t, site.Options{Image: image, Network: `{country: NL, links: [
		{name: spare, priority: 50, ` + spare + `wifi: {ssid: Kas 8, security: wpa2, psk: "glass house 8"}},
		{name: hall, priority: 10, wifi: {ssid: Kas 7, security: wpa2, psk: "glass house 7"}}]}`})
	box := powerOn(t, s, s.Machine)
	phase(t, "installed", func() (vm.Match, error) { return box.WaitInstalled(ctx) })
	for range 2 {
		phase(t, "Ready", func() (vm.Match, error) { return box.WaitReady(ctx) })
		must(t, box.LogIn(ctx))
		box.onRadio(t, "Ready", "10.9.0.", time.Minute)
		if test, err := box.Run(ctx, "stek network test"); err != nil || !strings.Contains(test, "passed   association") || !strings.Contains(test, `stands by: "Kas 7" is joined`) {
			t.Errorf("stek network test: %v\n%s", err, test)
		}
		box.hides(t, "glass house 7")
		box.hides(t, "glass house 8")

		box.run(t, "/usr/lib/air/on spare")
		box.run(t, "/usr/lib/air/off hall")
		box.onRadio(t, "the preferred network is gone", "10.8.0.", 3*time.Minute)
		if spare != "" && !strings.Contains(box.run(t, "ip -br -4 address show wifi0"), " 10.8.0.77/24") {
			t.Error("not on the fixed address of the spare network")
		}
		box.run(t, "/usr/lib/air/on hall")
		box.onRadio(t, "the preferred network is back", "10.9.0.", 6*time.Minute)
		must(t, box.PowerCut())
		box = powerOn(t, s, s.WithoutStick())
	}
}

// onRadio waits until the radio has one address, of that network, and the way out of the
// box goes through it.
func (b *testBox) onRadio(t *testing.T, when, network string, within time.Duration) {
	t.Helper()
	var addresses, routes string
	for began := time.Now(); time.Since(began) < within; time.Sleep(2 * time.Second) {
		addresses = b.run(t, "ip -br -4 address show wifi0")
		routes = b.run(t, "ip -4 route show default")
		if strings.Contains(addresses, network) && strings.Count(addresses, "/24") == 1 && strings.HasPrefix(routes, "default via "+network+"1 dev wifi0 ") {
			t.Logf("%s: on %s0 after %.0f s", when, network, time.Since(began).Seconds())
			return
		}
	}
	t.Fatalf("%s: not on %s0 within %v:\n%s%s%s", when, network, within, addresses, routes,
		b.run(t, "journalctl --no-pager -b -u systemd-networkd -u 'wpa_supplicant*' | tail -60; networkctl --no-pager status wifi0;"+
			" ip netns exec air ip address; ip netns exec air ip -s link; journalctl --no-pager -b -u air -t dnsmasq-dhcp -t dnsmasq | tail -30; tail -n 5 /run/air-*.log"))
}

// hides: a secret of the network is in no log, no list of processes, no environment, no
// file that others than root may read, and no report.
func (b *testBox) hides(t *testing.T, secret string) {
	t.Helper()
	b.hidesIn(t, secret, append(everywhere, environments)...)
}

// hidesIn is hides for some places.
func (b *testBox) hidesIn(t *testing.T, secret string, places ...string) {
	t.Helper()
	b.run(t, "umask 077; echo '"+secret+"' > /root/secret")
	defer b.run(t, "rm /root/secret")
	b.nowhere(t, "/root/secret", places...)
	b.notReported(t, secret)
}

// nowhere: what a file holds is in none of the places.
func (b *testBox) nowhere(t *testing.T, file string, places ...string) {
	t.Helper()
	for _, place := range places {
		if found := strings.TrimSpace(b.run(t, place+" | grep -a -c -F -f "+file+" || true")); found != "0" {
			t.Errorf("what %s holds is in what %q shows (%s lines); files that anybody may read and that hold it: %s", file, place, found,
				b.run(t, strangers+" | xargs -0 grep -a -l -F -f "+file+" || true"))
		}
	}
}

// everywhere is what others than root, or a person who is sent a log, may see. What is asked
// may be gone by then: that is no fault.
var everywhere = []string{"journalctl", "dmesg", "cat /proc/[0-9]*/cmdline 2>/dev/null", "cat /run/stek/* 2>/dev/null",
	strangers + " | xargs -0 cat 2>/dev/null"}

// strangers lists the files that somebody without any rights may read. Modes alone do not
// tell: of a credential that a service was given, the bits of the group are the mask of an
// access control list (acl(5)).
const strangers = "setpriv --reuid=65534 --regid=65534 --clear-groups find /etc /run /var/log /state -type f -size -4000k -readable -print0 2>/dev/null"

// environments are those of all processes. Root alone reads its own.
const environments = "cat /proc/[0-9]*/environ 2>/dev/null"
