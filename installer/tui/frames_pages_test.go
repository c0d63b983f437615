package tui

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/console"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/network/probe"
	"github.com/stek-edge/stek/installer/preseed"
	"github.com/stek-edge/stek/installer/vault"
)

// TestFrames: every page of questions in its order, with mistakes at their fields.
func TestFrames(t *testing.T) {
	everyLook(t, "", func(f *frames) {
		a := f.app(session(f, "raid-server"))
		for _, p := range a.st.screens {
			f.show(a)
			switch p.id {
			case "disk":
				choose(f, a, "SAMSUNG")
				f.show(a)
			case "encryption":
				choose(f, a, a.st.t("pin"))
				typeInto(f, a, "new.tpm2", "12345678")
				f.show(a)
				typeInto(f, a, "again.tpm2", "12345678")
				f.show(a)
			case "network":
				choose(f, a, a.st.t("network.cable"))
				typeInto(f, a, link+".addresses", "192.168.7.20/24, 192.168.7.300")
				f.show(a)
				typeInto(f, a, link+".addresses", "192.168.7.20/24")
				typeInto(f, a, link+".gateway", "192.168.8.1")
				f.show(a)
				typeInto(f, a, link+".gateway", "192.168.7.1")
				a.Update(cardsMsg{{Name: "eno1", MAC: "3c:ec:ef:00:00:01", On: true, Carrier: true, Addresses: []netip.Prefix{netip.MustParsePrefix("192.168.7.113/24")}},
					{Name: "eno2", MAC: "3c:ec:ef:00:00:02", On: true}})
				a.st.tested = a.st.draft.changed
				a.Update(verdictMsg{Stage: probe.Carrier, Of: "cable", Outcome: probe.Passed, Saw: "carrier on eno1, 1000 Mbit/s"})
				a.Update(verdictMsg{Stage: probe.Gateway, Of: "cable", Outcome: probe.Failed, Saw: "nobody answers at the gateway's address 192.168.7.1",
					Do: "check the gateway's address, that it is on, and that its cable and VLAN are the same as this box's"})
				press(f, a, "pgdown")
				f.show(a)
			case "node":
				choose(f, a, a.st.t("role.agent"))
				typeInto(f, a, serverPath, "http://10.77.0.1:6443")
				f.whole(a)
				choose(f, a, a.st.t("role.server"))
			}
			if p.id != "review" {
				ahead(f, a)
			}
		}
		press(f, a, "pgdown")
		f.show(a)
		a.do(save)
		f.show(a)
		press(f, a, "f1")
		f.show(a)
		press(f, a, "esc", "ctrl+c")
		f.show(a)

		// A machine whose firmware waits for keys has one page more.
		a = f.app(session(f, "mini-pc"))
		a.open(a.st.at("boot"))
		choose(f, a, a.st.t("boot.enrol"))
		f.show(a)

		s := session(f, "raid-server")
		s.Resumed = true
		f.show(f.app(s))

		s = session(f, "raid-server")
		s.Install = nil
		a = f.app(s)
		toReview(f, a, "SAMSUNG")
		f.whole(a)

		// Nothing is erased, and an answer file stands behind it.
		s = session(f, "mini-pc")
		s.Ask = []string{"node.name"}
		a = f.app(s)
		a.open(a.st.at("review"))
		f.show(a)
		a.Update(secondMsg{})
		f.show(a)
	})
}

// TestFramesOfNetworks: the ways to a network that more is asked for.
func TestFramesOfNetworks(t *testing.T) {
	everyLook(t, "network", func(f *frames) {
		const wifi = link + ".wifi"
		s := session(f, "mini-pc")
		s.Inventory.NICs = append(s.Inventory.NICs, hardware.NIC{Name: "wlan0", Type: string(preseed.Wireless), MAC: "48:21:0b:12:34:57"})
		s.Scan = wifiInReach
		a := f.app(s)
		a.open(a.st.at("network"))
		choose(f, a, a.st.t("network.wifi"))
		f.whole(a)
		choose(f, a, a.st.t("wifi.scan"))
		f.show(a)
		a.Update(scannedMsg{})
		f.show(a)
		choose(f, a, a.st.t("wifi.scan"))
		a.Update(a.scanning()())
		f.show(a)
		choose(f, a, "Kas 7")
		typeInto(f, a, wifi+".psk", "short")
		f.whole(a)
		typeInto(f, a, wifi+".psk", "glazen kas 7")
		typeInto(f, a, "network.country", "NL")
		f.show(a)
		choose(f, a, "guests")
		choose(f, a, a.st.t("wifi.hidden"))
		f.whole(a)
		choose(f, a, "office")
		f.whole(a)
		choose(f, a, a.st.t("wifi.eap.tls"))
		a.st.Files = []File{{"stek/office.pem", "ca"}, {"stek/box.key", "key"}}
		a.refresh()
		f.whole(a)

		a = f.app(session(f, "raid-server"))
		a.open(a.st.at("network"))
		choose(f, a, a.st.t("vpn"))
		typeInto(f, a, tunnelPath+".address", "10.77.0.7/32")
		typeInto(f, a, peer+".preshared-key", "too short")
		typeInto(f, a, peer+".endpoint", "vpn.example.org")
		f.whole(a)
		a.st.Files = []File{{"stek/wg0.conf", "[Interface]\nAddress = 10.77.0.7/32\n"}}
		a.refresh()
		choose(f, a, a.st.t("vpn.file", "stek/wg0.conf"))
		f.whole(a)
		choose(f, a, a.st.t("vpn"))
		choose(f, a, a.st.t("proxy"))
		typeInto(f, a, proxyPath+".url", "proxy")
		typeInto(f, a, proxyPath+".password", "letmein")
		f.whole(a)
		a.st.Files = []File{{"stek/proxy.crt", "ca"}}
		a.refresh()
		f.whole(a)
		choose(f, a, a.st.t("network.offline"))
		f.show(a)
	})
}

// TestFramesOfInstalling: from the consent to each end, with what the steps ask and show.
func TestFramesOfInstalling(t *testing.T) {
	everyLook(t, "installing", func(f *frames) {
		a := f.app(session(f, "raid-server"))
		toReview(f, a, "SAMSUNG")
		a.st.start(mustPlan(f, a))
		a.over(nothing)
		f.show(a)
		now, words := time.Time{}, map[string]string{}
		for _, s := range a.st.steps {
			words[s.name] = s.words
		}
		happens := func(kind installer.EventKind, step string) {
			a.Update(eventMsg{Kind: kind, Step: step, Time: now, Message: words[step]})
		}
		copies := func(step string, done, total uint64) {
			a.Update(eventMsg{Kind: installer.StepProgress, Step: step, Time: now, Done: done, Total: total})
		}
		image := a.st.Image.RootBytes
		happens(installer.StepStarted, installer.StepCheck)
		now = now.Add(2 * time.Second)
		copies(installer.StepCheck, image/4, image)
		f.show(a)
		happens(installer.StepDone, installer.StepCheck)
		happens(installer.StepSkipped, installer.StepPartition)
		happens(installer.StepStarted, installer.StepRoot)
		copies(installer.StepRoot, 0, 2*image)
		f.show(a)
		now = now.Add(63 * time.Second)
		copies(installer.StepRoot, image, 2*image)
		f.show(a)
		press(f, a, "f2")
		f.show(a)
		press(f, a, "esc", "ctrl+c")
		f.show(a)
		press(f, a, "esc")
		happens(installer.StepDone, installer.StepRoot)

		// What the next steps ask, and show once.
		asks := make(chan any)
		ctx, stops := context.WithCancel(f.Context())
		defer stops()
		asking := person{func(m any) { asks <- m }}
		happens(installer.StepStarted, installer.StepState)
		go func() {
			_, _ = console.NewSecret{Method: string(vault.KindTPM2), Least: preseed.MinPIN}.From(ctx, asking)
		}()
		a.Update(<-asks)
		typeInto(f, a, "new.tpm2", "4711 47")
		f.show(a)
		typeInto(f, a, "again.tpm2", "4711 47")
		choose(f, a, a.st.t("continue"))
		happens(installer.StepDone, installer.StepState)
		happens(installer.StepStarted, installer.StepReport)
		key, err := vault.ParseRecoveryKey(strings.Repeat("cdefghij", 8))
		if err != nil {
			f.Fatal(err)
		}
		go func() { _ = installer.ShowRecovery(ctx, asking, key) }()
		a.Update(<-asks)
		a.Update(<-asks)
		f.show(a)
		if a.st.blocks {
			choose(f, a, a.st.t("picture"))
			f.show(a)
			press(f, a, "esc")
		}
		typeInto(f, a, "answer", "cdefghijk")
		press(f, a, "enter", "enter")
		a.Update(<-asks)
		a.Update(<-asks)
		f.show(a)

		// Another try, which ends with what is over the page.
		a.st.start(mustPlan(f, a))
		a.over(nothing)
		happens(installer.StepStarted, installer.StepRoot)
		press(f, a, "f2")
		lost := &installer.MediumError{Medium: installer.TheDisk, Err: fmt.Errorf("copying: writing at byte 4096: %w", unix.EIO)}
		a.Update(eventMsg{Kind: installer.StepFailed, Step: installer.StepRoot, Message: lost.Error(), Remedy: lost.Remedy()})
		f.show(a)
		a.Update(endMsg{report: "stek/reports/S1", err: fmt.Errorf("could not %s: %w", words[installer.StepRoot], lost)})
		f.show(a)
		press(f, a, "down")
		f.show(a)
		a.do(saveReport)
		f.show(a)
		a.Update(reportMsg{where: "stek/reports/S1"})
		f.show(a)
		a.Update(endMsg{})
		f.show(a)
		press(f, a, "ctrl+c")
		f.show(a)
	})
}
