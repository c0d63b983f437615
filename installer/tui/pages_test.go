package tui

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"

	"github.com/stek-edge/stek/installer/network/probe"
	"github.com/stek-edge/stek/installer/preseed"
	"github.com/stek-edge/stek/test/authority"
)

// TestQuestions: what an answer file may have a person asked for has a page.
func TestQuestions(t *testing.T) {
	for _, key := range preseed.Questions() {
		s := session(t, "mini-pc") // its firmware waits for keys
		s.Ask = []string{key}
		if st := newState(s); len(st.screens) != 2 || st.screens[1].id != "review" {
			t.Errorf("%s: %d pages, not one and the review", key, len(st.screens))
		}
	}
}

// TestSecureBoot: enrolment is offered where it can be done, and whose keys stay is a question
// only with it.
func TestSecureBoot(t *testing.T) {
	for machine, offered := range map[string]bool{"mini-pc": true, "raid-server": false, "bios-box": false} {
		st := newState(session(t, machine))
		if got := slices.ContainsFunc(st.screens, func(s screen) bool { return s.id == "boot" }); got != offered {
			t.Errorf("%s: offered %v", machine, got)
		}
	}
	a := newApp(t.Context(), session(t, "mini-pc"), look{mono: true})
	a.open(a.st.at("boot"))
	choose(t, a, a.st.t("boot.enrol"))
	choose(t, a, a.st.t("boot.microsoft"))
	if got, err := a.st.answers(); err != nil || got.Boot.SecureBoot != "enrol" || *got.Boot.MicrosoftKeys {
		t.Errorf("enrol without Microsoft's keys: %+v, %v", got, err)
	}
	choose(t, a, a.st.t("boot.keep"))
	if got, err := a.st.answers(); err != nil || got.Boot.SecureBoot != "keep" || got.Boot.MicrosoftKeys != nil {
		t.Errorf("keep: %+v, %v", got, err)
	}
}

// TestWays: what was typed for one way to a network is there again when a person returns to it
// from another, and none of it is in the answers until then.
func TestWays(t *testing.T) {
	a := newApp(t.Context(), session(t, "raid-server"), look{mono: true})
	a.open(a.st.at("network"))
	choose(t, a, a.st.t("network.cable"))
	typeInto(t, a, link+".addresses", "192.168.7.20/24, fd00::20/64")
	typeInto(t, a, link+".vlan", "20")
	typeInto(t, a, "network.ntp", "192.168.7.1")
	choose(t, a, a.st.t("network.offline"))
	got, err := a.st.answers()
	if err != nil || !got.Network.Offline || len(got.Network.Links) > 0 || len(got.Network.NTP) > 0 {
		t.Fatalf("offline: %+v, %v", got, err)
	}
	choose(t, a, a.st.t("network.dhcp"))
	typeInto(t, a, "network.ntp", "192.168.7.2")
	choose(t, a, a.st.t("network.cable"))
	got, err = a.st.answers()
	if err != nil || len(got.Network.Links) != 1 || len(got.Network.Links[0].Addresses) != 2 || got.Network.Links[0].VLAN != 20 || got.Network.NTP[0] != "192.168.7.2" {
		t.Errorf("the cable again: %+v, %v", got, err)
	}
}

// TestVerdictsInSight: on a small terminal what the test finds stands below the page's end,
// and is scrolled to, with the button; somebody who types at a field stays there.
func TestVerdictsInSight(t *testing.T) {
	a := newApp(t.Context(), session(t, "raid-server"), look{mono: true})
	a.open(a.st.at("network"))
	choose(t, a, a.st.t("network.cable"))
	a.st.tested = a.st.draft.changed
	test := slices.IndexFunc(a.rows, func(r row) bool { return r.text == a.st.t("network.test") })
	a.goTo(test)
	for i := range 3 {
		a.Update(verdictMsg{Stage: probe.Carrier, Of: "eno1", Outcome: probe.Failed, Saw: fmt.Sprintf("finding %d", i), Do: "plug it in"})
	}
	if frame := plain(a); !strings.Contains(frame, "finding 2") || !strings.Contains(frame, a.st.t("network.test")) {
		t.Errorf("after the test:\n%s", frame)
	}
	focusOn(t, a, link+".vlan")
	a.intoSight()
	before := plain(a)
	a.Update(verdictMsg{Stage: probe.Carrier, Of: "eno1", Outcome: probe.Failed, Saw: "finding 3", Do: "plug it in"})
	if plain(a) != before {
		t.Errorf("the page has moved away from who types:\n%s", plain(a))
	}
}

// TestVerdicts: the test shows its verdicts as they fall, and those of other answers are gone.
func TestVerdicts(t *testing.T) {
	s := session(t, "raid-server")
	a := newApp(t.Context(), s, look{mono: true})
	var sent []tea.Msg
	a.send = func(m tea.Msg) { sent = append(sent, m) }
	a.st.Test = func(_ context.Context, _ preseed.Network, seen func(probe.Verdict)) error {
		seen(probe.Verdict{Stage: probe.Carrier, Of: "eno1", Outcome: probe.Passed, Saw: "carrier on eno1"})
		return errors.New("the test ended early")
	}
	a.open(a.st.at("network"))
	cmd := a.do(testNetwork)
	if !strings.Contains(plain(a), a.st.t("network.testing")) {
		t.Errorf("while testing:\n%s", plain(a))
	}
	done := cmd()
	for _, m := range append(sent, done) {
		a.Update(m)
	}
	if frame := plain(a); !strings.Contains(frame, "carrier on eno1") || !strings.Contains(frame, "the test ended early") {
		t.Errorf("after the test:\n%s", frame)
	}
	choose(t, a, a.st.t("network.cable"))
	if strings.Contains(plain(a), "carrier on eno1") {
		t.Error("a verdict about other answers is shown")
	}
}

// TestStrength: words that a person can go by. A PIN needs less than a passphrase.
func TestStrength(t *testing.T) {
	for _, tt := range []struct{ method, secret, want string }{
		{"tpm2", "111111", "weak"},
		{"tpm2", "123456", "weak"},
		{"tpm2", "471147", "fair"},
		{"tpm2", "47pot38k", "strong"},
		{"passphrase", "aaaaaaaa", "weak"},
		{"passphrase", "tomaten7", "weak"},
		{"passphrase", "kas7 tomaat", "good"},
		{"passphrase", "vier natte laarzen in hal 7", "strong"},
	} {
		if got := strength(tt.method, tt.secret); got != tt.want {
			t.Errorf("%s %q: %s, want %s", tt.method, tt.secret, got, tt.want)
		}
	}
}

// TestSaved: no secret is in what is saved, and a list is in it as it was typed.
func TestSaved(t *testing.T) {
	s := session(t, "raid-server")
	var saved string
	s.Save = func(text []byte) (string, error) { saved = string(text); return "stek/answers.yaml", nil }
	s.Values["node.admin.password-hash"] = []string{"$6$stektest$.og3TwRJP/UXjKaWtzZv4d7d9N/xigNy7ChjY7g34igk2JUhiY8hrdaaGQVerRm/uEFxM7bBIm0ese.LklrZI."}
	s.Values["encryption.unlock"] = []string{"passphrase", "tpm2"}
	a := newApp(t.Context(), s, look{mono: true})
	a.open(a.st.at("encryption"))
	choose(t, a, a.st.t("pin"))
	for method, secret := range map[string]string{"tpm2": "4711-4712", "passphrase": "vier laarzen"} {
		typeInto(t, a, "new."+method, secret)
		typeInto(t, a, "again."+method, secret)
	}
	a.do(save)
	if saved == "" || strings.Contains(saved, "4711") || strings.Contains(saved, "laarzen") || strings.Contains(saved, "og3Tw") {
		t.Errorf("%s\nsaved:\n%s", a.st.notice, saved)
	}
	if again, err := preseed.Parse("saved", []byte(saved)); err != nil || strings.Join(again.Encryption.Unlock, " ") != "passphrase tpm2" || again.Encryption.TPM2.PIN.Reveal() != "ask" {
		t.Errorf("read again: %v", err)
	}
}

// TestFaultsAtTheirField: a mistake is beside its field on the key press that makes it, also
// where it is one only together with another answer.
func TestFaultsAtTheirField(t *testing.T) {
	a := newApp(t.Context(), session(t, "raid-server"), look{mono: true})
	a.open(a.st.at("network"))
	choose(t, a, a.st.t("network.cable"))
	for _, tt := range []struct{ id, typed, fault string }{
		{link + ".vlan", "5000", "not between 1 and 4094"},
		{link + ".vlan", "20", ""},
		{link + ".addresses", "192.168.7.20", "the length of the subnet is missing"},
		{link + ".addresses", "192.168.7.20/24", ""},
		{link + ".gateway", "192.168.7.20", "the address of the box itself"},
		{link + ".gateway", "192.168.7.1", ""},
		{link + ".dns", "192.168.7.1, x", "no IP address"},
		{link + ".dns", "192.168.7.1", ""},
	} {
		typeInto(t, a, tt.id, tt.typed)
		got := a.rows[a.focus].fault
		if tt.fault == "" && got != "" || !strings.Contains(got, tt.fault) {
			t.Errorf("%s %s: %q, want %q", tt.id, tt.typed, got, tt.fault)
		}
	}
	a.open(a.st.at("node"))
	typeInto(t, a, "node.name", "{site}-1")
	if got := a.rows[a.focus].fault; !strings.Contains(got, "node.site is not given") {
		t.Errorf("a name that uses an answer that is not given: %q", got)
	}
	a.open(a.st.at("encryption"))
	choose(t, a, "tpm2")
	if ahead := a.rows[len(a.rows)-1]; !strings.Contains(ahead.fault, "no unlock method") {
		t.Errorf("nothing opens the disk: %q", ahead.fault)
	}
}

// wifiInReach hears three networks.
func wifiInReach(context.Context) ([]probe.Network, error) {
	return []probe.Network{{SSID: "Kas 7", Signal: -48, Security: preseed.WiFiWPA3}, {SSID: "office", Signal: -70, Security: preseed.WiFiEnterprise}, {SSID: "guests", Signal: -80, Security: preseed.WiFiOpen}}, nil
}

// TestWiFi: a network is chosen from those in reach or typed, its password is judged, hidden
// and saved nowhere, and an open one has none.
func TestWiFi(t *testing.T) {
	const wifi = link + ".wifi"
	s := session(t, "mini-pc")
	var saved string
	s.Save = func(text []byte) (string, error) { saved = string(text); return "", nil }
	s.Scan = wifiInReach
	a := newApp(t.Context(), s, look{mono: true})
	a.send = func(tea.Msg) {}
	wireless.take(a.st)
	a.open(a.st.at("network"))
	a.Update(a.do(scanNetworks)())
	a.Update(tea.WindowSizeMsg{Width: 120, Height: 60})
	if strings.Contains(plain(a), a.st.t("wifi.nothing")) {
		t.Errorf("networks were found, and the page says\n%s", plain(a))
	}
	found := a.st.networks
	a.Update(scannedMsg{})
	if !strings.Contains(plain(a), a.st.t("wifi.nothing")) {
		t.Errorf("nothing was found, and the page says\n%s", plain(a))
	}
	a.Update(scannedMsg{networks: found})
	a.Update(scannedMsg{err: errors.New("the radio is switched off")})
	if page := plain(a); strings.Contains(page, a.st.t("wifi.nothing")) || !strings.Contains(page, "the radio is switched off") {
		t.Errorf("nobody could look, and the page says\n%s", page)
	}
	a.Update(scannedMsg{networks: found})
	choose(t, a, "Kas 7")
	typeInto(t, a, wifi+".psk", "short")
	if got := a.rows[a.focus].fault; got == "" || strings.Contains(plain(a), "short") {
		t.Errorf("a password that is too short: %q\n%s", got, plain(a))
	}
	typeInto(t, a, wifi+".psk", "glazen kas 7")
	typeInto(t, a, "network.country", "NL")
	got, err := a.st.answers()
	if err != nil || got.Network.Links[0].WiFi.SSID != "Kas 7" || got.Network.Links[0].WiFi.Security != preseed.WiFiWPA3 || got.Network.Links[0].WiFi.PSK.Reveal() != "glazen kas 7" {
		t.Fatalf("%v", err)
	}
	a.do(save)
	if saved == "" || strings.Contains(saved, "glazen") {
		t.Errorf("saved:\n%s", saved)
	}
	choose(t, a, "guests")
	if got, err = a.st.answers(); err != nil || got.Network.Links[0].WiFi.PSK != "" {
		t.Errorf("an open network with a password: %v", err)
	}
	typeInto(t, a, wifi+".ssid", "not announced")
	choose(t, a, a.st.t("wifi.hidden"))
	if got, err = a.st.answers(); err != nil || !got.Network.Links[0].WiFi.Hidden {
		t.Errorf("a hidden network: %v", err)
	}
}

// TestEnterprise: a login at a network, with the certificates that are on the stick, and
// nothing left of one when another way is chosen.
func TestEnterprise(t *testing.T) {
	s := session(t, "mini-pc")
	ca, key := certificate(t)
	s.Scan = func(context.Context) ([]probe.Network, error) {
		return []probe.Network{{SSID: "office", Signal: -60, Security: preseed.WiFiEnterprise}}, nil
	}
	s.Files = []File{{"stek/office.pem", ca}, {"stek/box.key", key}, {"stek/wg0.conf", "[Interface]"}}
	a := newApp(t.Context(), s, look{mono: true})
	a.send = func(tea.Msg) {}
	wireless.take(a.st)
	a.open(a.st.at("network"))
	a.Update(a.do(scanNetworks)())
	choose(t, a, "office, ")
	typeInto(t, a, eap+".identity", "box-7")
	typeInto(t, a, eap+".password", "letmein")
	if ahead := a.rows[len(a.rows)-1]; !strings.Contains(ahead.fault, "ca") {
		t.Errorf("no authority: %q", ahead.fault)
	}
	choose(t, a, "stek/office.pem")
	got, err := a.st.answers()
	if err != nil {
		t.Fatal(err)
	}
	if e := got.Network.Links[0].WiFi.EAP; e.Method != preseed.EAPPEAP || e.CA != ca || e.Password.Reveal() != "letmein" {
		t.Errorf("%+v", e)
	}
	if page := plain(a); strings.Contains(page, "letmein") || strings.Contains(page, "BEGIN") || strings.Contains(page, "wg0.conf on") {
		t.Errorf("the page shows\n%s", page)
	}
	choose(t, a, a.st.t("wifi.eap.tls"))
	for _, key := range []string{".certificate", ".private-key"} {
		a.st.draft.set(eap+key, map[string]string{".certificate": ca, ".private-key": a.st.filesOf(".key")[0].Text}[key])
	}
	if got, err = a.st.answers(); err != nil || got.Network.Links[0].WiFi.EAP.Password != "" {
		t.Errorf("a certificate instead of a password: %v", err)
	}
	choose(t, a, a.st.t("wifi.wpa2"))
	if a.st.draft.any(eap) {
		t.Errorf("left of the login: %v", a.st.draft.below(eap))
	}
}

// certificate is one, and its key, as PEM.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	return authority.PEM(t, authority.New(t).Issue(t, func(*x509.Certificate) {}))
}

// TestProxy: asked for by a switch, judged, its password hidden, and gone with the switch.
func TestProxy(t *testing.T) {
	s := session(t, "raid-server")
	ca, _ := certificate(t)
	s.Files = []File{{"stek/proxy.CRT", ca}}
	a := newApp(t.Context(), s, look{mono: true})
	a.open(a.st.at("network"))
	choose(t, a, a.st.t("proxy"))
	typeInto(t, a, proxyPath+".url", "proxy")
	if a.rows[a.focus].fault == "" {
		t.Error("an address without a scheme has no fault")
	}
	for id, text := range map[string]string{".url": "http://proxy:3128", ".username": "box-7", ".password": "letmein", ".no-proxy": "10.0.0.0/8, .example.org"} {
		typeInto(t, a, proxyPath+id, text)
	}
	choose(t, a, "stek/proxy.CRT")
	got, err := a.st.answers()
	if err != nil || got.Network.Proxy.Password.Reveal() != "letmein" || len(got.Network.Proxy.NoProxy) != 2 || got.Network.Proxy.CA != ca {
		t.Errorf("%v: %+v", err, got)
	}
	if strings.Contains(plain(a), "letmein") {
		t.Errorf("the password is shown:\n%s", plain(a))
	}
	choose(t, a, a.st.t("proxy"))
	if got, err = a.st.answers(); err != nil || !got.Network.Proxy.IsZero() {
		t.Errorf("taken out: %v", err)
	}
}

// TestTunnelOfAFile: a wg0.conf from the stick, then one that is pasted, then none: what is
// taken last counts, and no key is shown.
func TestTunnelOfAFile(t *testing.T) {
	const key = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
	conf := func(address string) string {
		return "[Interface]\nPrivateKey = " + key + "\nAddress = " + address + "/32\n\n[Peer]\nPublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\n" +
			"Endpoint = vpn.example.org:51820\nAllowedIPs = 10.77.0.0/16\n"
	}
	s := session(t, "raid-server")
	s.Files = []File{{"stek/wg0.conf", conf("10.77.0.7")}, {"stek/office.pem", ""}}
	a := newApp(t.Context(), s, look{mono: true})
	a.open(a.st.at("network"))
	choose(t, a, a.st.t("vpn"))
	choose(t, a, "stek/wg0.conf")
	address := func() string {
		t.Helper()
		got, err := a.st.answers()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(plain(a), key[:8]) {
			t.Errorf("a key is shown:\n%s", plain(a))
		}
		return got.Network.VPN.WireGuard.Address.String()
	}
	if got := address(); got != "10.77.0.7/32" {
		t.Errorf("from the stick: %s", got)
	}
	focusOn(t, a, wgConf)
	a.Update(tea.PasteMsg{Content: strings.ReplaceAll(conf("10.77.0.8"), "\n", "\r")})
	if got := address(); got != "10.77.0.8/32" {
		t.Errorf("pasted: %s", got)
	}
	if shown := a.rows[a.focus]; shown.id != wgConf || shown.value != "8 lines" {
		t.Errorf("the row shows %q", shown.value)
	}
	a.Update(tea.PasteMsg{Content: "[Interface]\nPostUp = reboot"})
	if got := a.rows[a.focus].fault; got == "" {
		t.Error("a tunnel that is no tunnel has no fault")
	}
	a.Update(tea.KeyPressMsg{Code: 'x', Text: "x"})
	a.Update(tea.KeyPressMsg{Code: tea.KeyBackspace})
	if a.st.draft.any(wgConf) || a.st.draft.one(tunnelPath+".private-key") != preseed.GenerateKey {
		t.Errorf("taken away: %v", a.st.draft.below("network.vpn"))
	}
}

// TestTunnel: by its fields, each judged where it stands; the keys that are typed are hidden.
func TestTunnel(t *testing.T) {
	a := newApp(t.Context(), session(t, "raid-server"), look{mono: true})
	a.st.draft.set(tunnelPath+".private-key", preseed.GenerateKey)
	a.open(a.st.at("network"))
	const psk = "FpCyhws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVE="
	for id, text := range map[string]string{
		tunnelPath + ".address": "10.77.0.7/32", peer + ".public-key": "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=", peer + ".preshared-key": psk,
		peer + ".endpoint": "vpn.example.org:51820", peer + ".allowed-ips": "10.77.0.0/16, fd77::/48",
	} {
		typeInto(t, a, id, text)
	}
	if strings.Contains(plain(a), psk[:8]) {
		t.Errorf("a key is shown:\n%s", plain(a))
	}
	got, err := a.st.answers()
	if err != nil || len(got.Network.VPN.WireGuard.Peers) != 1 || len(got.Network.VPN.WireGuard.Peers[0].AllowedIPs) != 2 || !got.Network.VPN.WireGuard.Generates() {
		t.Fatalf("%v", err)
	}
	typeInto(t, a, peer+".endpoint", "vpn.example.org")
	if a.rows[a.focus].fault == "" {
		t.Error("an endpoint without a port has no fault")
	}
	choose(t, a, a.st.t("vpn"))
	if got, err = a.st.answers(); err != nil || got.Network.VPN.WireGuard != nil {
		t.Errorf("taken out: %v", err)
	}
}
