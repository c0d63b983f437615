//go:build linux

package probe

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestRadio: what is no radio, what is one, and what is switched off, by what.
func TestRadio(t *testing.T) {
	for _, c := range []struct{ name, hard, soft, saw string }{
		{"no radio", "", "", "lo is no radio"},
		{"on", "0", "0", "the radio lo is there"},
		{"by its switch", "1", "1", "lo is switched off by its switch or the firmware"},
		{"by software", "0", "1", "lo is switched off by software (rfkill)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			sys := t.TempDir()
			dir := filepath.Join(sys, "class/net/lo/phy80211/rfkill0")
			if c.hard != "" {
				if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "hard"), []byte(c.hard+"\n"), 0o644),
					os.WriteFile(filepath.Join(dir, "soft"), []byte(c.soft+"\n"), 0o644)); err != nil {
					t.Fatal(err)
				}
			}
			p := &prober{Env: Env{Sys: sys, Carrier: time.Second}}
			if got := p.radio(t.Context(), Link{Interface: "lo"}); got.saw != c.saw || (got.fault == "") != (c.name == "on") {
				t.Errorf("got %s: %s", got.fault, got.saw)
			}
		})
	}
}

// TestJudgeAssociation: what wpa_supplicant 2.10 and hostapd 2.10 say in each case, and
// what it is called.
func TestJudgeAssociation(t *testing.T) {
	const confirm = `<3>CTRL-EVENT-AUTH-REJECT 02:00:00:00:00:00 auth_type=3 auth_transaction=2 status_code=`
	const trying = `<3>Trying to associate with 02:00:00:00:00:00 (SSID='Kas 7' freq=2412 MHz)`
	for _, c := range []struct {
		name, said string
		reachable  []string
		fault      Fault
		saw        string
	}{
		{"wrong key, WPA2", `<3>CTRL-EVENT-SSID-TEMP-DISABLED id=0 ssid="Kas 7" auth_failures=1 duration=10 reason=WRONG_KEY`, []string{"Kas 7"}, FaultWrongKey, "does not accept the key"},
		{"wrong key, WPA3, as the standard has it", confirm + "15", nil, FaultWrongKey, "does not accept the key"},
		{"wrong key, WPA3, as hostapd says it", confirm + "1", nil, FaultWrongKey, "does not accept the key"},
		{"refused before the key is of matter", `<3>CTRL-EVENT-AUTH-REJECT 02:00:00:00:00:00 auth_type=3 auth_transaction=1 status_code=17`, nil, FaultNotJoined, "refuses this box (status 17)"},
		{"full", trying + "\n<3>CTRL-EVENT-ASSOC-REJECT bssid=02:00:00:00:00:00 status_code=17", nil, FaultNotJoined, "refuses this box (status 17)"},
		{"wrong login", "<3>CTRL-EVENT-EAP-FAILURE EAP authentication failed", nil, FaultLogin, "does not accept the login"},
		{"not in reach, others are", "<3>CTRL-EVENT-NETWORK-NOT-FOUND", []string{"Kas 8"}, FaultNoNetwork, `1 others are, such as "Kas 8"`},
		{"nothing in reach", "<3>CTRL-EVENT-NETWORK-NOT-FOUND", nil, FaultNoNetwork, "no network is"},
		{"gone a moment ago", trying + "\n<4>CTRL-EVENT-NETWORK-NOT-FOUND", []string{"Kas 7", "Kas 8"}, FaultNoNetwork, `1 others are, such as "Kas 8"`},
		{"given up for a while", trying + "\n<3>CTRL-EVENT-SSID-TEMP-DISABLED id=0 ssid=\"Kas 7\" auth_failures=1 duration=10 reason=CONN_FAILED\n<4>CTRL-EVENT-NETWORK-NOT-FOUND", []string{"Kas 7"}, FaultNotJoined, "was not joined in time"},
		{"slow", trying, nil, FaultNotJoined, "was not joined in time"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := judgeAssociation(Link{Network: "Kas 7"}, said(t, c.said), c.reachable)
			if got.fault != c.fault || !strings.Contains(got.saw, c.saw) {
				t.Errorf("got %s: %s", got.fault, got.saw)
			}
		})
	}
}

// said reads what wpa_supplicant says, line by line.
func said(t *testing.T, text string) (events []wpaEvent) {
	t.Helper()
	for line := range strings.Lines(text) {
		e, ok := parseWPAEvent(strings.TrimSpace(line))
		if !ok {
			t.Fatalf("not understood: %s", line)
		}
		events = append(events, e)
	}
	return events
}

// TestJudgeStandby: the radio has joined "Kas 8" instead of the preferred "Kas 7". Only what
// a person has to correct is a fault of "Kas 7".
func TestJudgeStandby(t *testing.T) {
	for _, c := range []struct {
		name, said string
		fault      Fault
	}{
		{"nothing was heard", "", ""},
		{"not in reach", "<3>CTRL-EVENT-NETWORK-NOT-FOUND", ""},
		{"full", "<3>CTRL-EVENT-ASSOC-REJECT bssid=02:00:00:00:00:00 status_code=17", ""},
		{"wrong key", `<3>CTRL-EVENT-SSID-TEMP-DISABLED id=0 ssid="Kas 7" auth_failures=1 duration=10 reason=WRONG_KEY`, FaultWrongKey},
		{"wrong login", "<3>CTRL-EVENT-EAP-FAILURE EAP authentication failed", FaultLogin},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := judgeStandby(Link{Network: "Kas 7"}, "Kas 8", said(t, c.said))
			if got.fault != c.fault || c.fault == "" && (!got.standsBy || got.outcome != Skipped || got.saw != `stands by: "Kas 8" is joined`) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// TestOtherNetworks: only what is joined by the same radio makes a link stand by.
func TestOtherNetworks(t *testing.T) {
	hall := Link{Name: "hall", Interface: "wifi0", Network: "Kas 7"}
	all := []Link{hall, {Name: "spare", Interface: "wifi0", Network: "Kas 8"}, {Name: "yard", Interface: "wifi1", Network: "Kas 9"}, {Name: "up", Interface: "eth0"}}
	if got := otherNetworks(all, hall); !slices.Equal(got, []string{"Kas 8"}) {
		t.Errorf("got %q", got)
	}
}
