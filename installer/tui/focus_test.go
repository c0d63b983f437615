package tui

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stek-edge/stek/installer/network/probe"
	"github.com/stek-edge/stek/installer/preseed"
	"github.com/stek-edge/stek/installer/vault"
)

// states are sessions that show every row which a person can go to, by what they show.
func states(t *testing.T) map[string]*state {
	t.Helper()
	made := func(machine string, change func(st *state)) *state {
		s := session(t, machine)
		ca, key := certificate(t)
		s.Files = []File{{"stek/ca.pem", ca}, {"stek/box.key", key}, {"stek/wg0.conf", "[Interface]\n"}}
		s.Scan = func(context.Context) ([]probe.Network, error) { return nil, nil }
		st := newState(s)
		change(st)
		return st
	}
	all := map[string]*state{}
	for _, w := range ways {
		all["the way "+w.id] = made("mini-pc", func(st *state) { st.goWay(w) })
	}
	all["a login of the box"] = made("mini-pc", func(st *state) {
		st.goWay(wireless)
		st.heard([]probe.Network{{SSID: "Kas 7", Security: preseed.WiFiWPA3}, {SSID: "Kas 7", Security: preseed.WiFiWPA2}}, nil)
		st.security(preseed.WiFiEnterprise)
		st.draft.set(eap+".method", string(preseed.EAPTLS))
	})
	all["a name and a password"] = made("mini-pc", func(st *state) {
		st.goWay(wireless)
		st.security(preseed.WiFiEnterprise)
	})
	all["a tunnel, a proxy, keys of the firmware"] = made("mini-pc", func(st *state) {
		st.typeTunnel()
		st.proxied = true
		st.draft.set("boot.secure-boot", "enrol")
	})
	all["secrets"] = made("raid-server", func(st *state) {
		st.draft.set("encryption.unlock", string(vault.KindTPM2), string(vault.KindPassphrase))
		st.draft.set("encryption.tpm2.pin", "ask")
	})
	all["a disk is chosen"] = made("raid-server", func(st *state) { st.draft.set("disk.match.serial", freeDisk) })
	return all
}

// pagesOf are the pages of a session, what lies over them, and those behind the questions.
func pagesOf(st *state) []screen {
	failed, installed := *st, *st
	failed.outcome = errors.New("the disk does not answer")
	of := func(st *state, rows func(*state) []row) func(*state) []row {
		return func(*state) []row { return rows(st) }
	}
	return append(st.screens,
		screen{id: "keys", rows: keyList}, screen{id: "quit", rows: quitQuestion}, screen{id: "log", rows: logLines}, screen{id: "progress", rows: progress},
		screen{id: "failed", rows: of(&failed, done)}, screen{id: "done", rows: of(&installed, done)})
}

// Every row that takes the focus has a name of its own, by which it is found again when
// others come and go around it.
func TestRowsHaveIDs(t *testing.T) {
	for name, st := range states(t) {
		for _, p := range pagesOf(st) {
			seen := map[string]bool{}
			for _, r := range p.rows(st) {
				switch {
				case r.kind != option && r.kind != check && r.kind != input && r.kind != button:
				case r.id == "":
					t.Errorf("%s, page %s: %q has no id", name, p.id, r.text)
				case seen[r.id]:
					t.Errorf("%s, page %s: two rows are %s", name, p.id, r.id)
				default:
					seen[r.id] = true
				}
			}
		}
	}
}

// What is found meanwhile stands above the field that somebody types into: the rest of the
// text goes into the same field.
func TestFocusStaysWhileNetworksAreFound(t *testing.T) {
	s := session(t, "mini-pc")
	s.Scan = func(context.Context) ([]probe.Network, error) {
		return []probe.Network{{SSID: "Kas 7", Security: preseed.WiFiWPA2}, {SSID: "guests", Security: preseed.WiFiOpen}, {SSID: "office", Security: preseed.WiFiWPA3}}, nil
	}
	a := newApp(t.Context(), s, look{mono: true})
	wireless.take(a.st)
	a.open(a.st.at("network"))
	found := a.do(scanNetworks)
	typeInto(t, a, link+".wifi.ssid", "Kas 7")
	typeInto(t, a, link+".wifi.psk", "glazen")
	a.Update(found())
	typeText(t, a, " kas 7")
	got, err := a.st.answers()
	if err != nil || got.Network.Links[0].WiFi.SSID != "Kas 7" || got.Network.Links[0].WiFi.PSK.Reveal() != "glazen kas 7" {
		t.Errorf("%v: %+v", err, a.st.draft.below(link))
	}
	if page := plain(a); !strings.Contains(page, "> "+a.st.t("wifi.psk")) {
		t.Errorf("the field is out of sight:\n%s", page)
	}
}

// A button that says something else while it works keeps the focus.
func TestFocusStaysOnButton(t *testing.T) {
	s := session(t, "mini-pc")
	s.Scan = func(context.Context) ([]probe.Network, error) {
		return []probe.Network{{SSID: "Kas 7", Security: preseed.WiFiWPA2}}, nil
	}
	a := newApp(t.Context(), s, look{mono: true})
	wireless.take(a.st)
	a.open(a.st.at("network"))
	choose(t, a, a.st.t("wifi.scan"))
	a.Update(a.do(scanNetworks)())
	if got := a.rows[a.focus].id; got != "scan" {
		t.Errorf("the focus is on %s", got)
	}
}

// What comes from the background while no row has the focus is shown, and moves nothing.
func TestRefreshWithoutFocus(t *testing.T) {
	for _, at := range []int{nowhere, 1000} {
		a := newApp(t.Context(), session(t, "raid-server"), look{mono: true})
		openPage(a, "network")
		a.goTo(at)
		a.Update(verdictMsg{})
		a.Update(testedMsg{errors.New("there is no network")})
		if a.focus != at || !strings.Contains(plain(a), "there is no network") {
			t.Errorf("the focus was on %d and is on %d:\n%s", at, a.focus, plain(a))
		}
	}
}
