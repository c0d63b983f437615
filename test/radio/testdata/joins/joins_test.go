// Package joins runs inside a guest with two simulated radios: wlan0 is the access
// points', wlan1 the box's.
package joins

import (
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/stek-edge/stek/installer/network/probe"
	"github.com/stek-edge/stek/test/authority"
)

// TestMain gives the box's radio the name that a rendered .link file gives it, and
// an address, so that joining is all that is left to be done.
func TestMain(m *testing.M) {
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "preparing the radios:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func prepare() error {
	// Access point and box are one machine here. Without this the one answers for the
	// addresses of the other, which is a duplicate address (ip-sysctl.rst of the kernel).
	if err := os.WriteFile("/proc/sys/net/ipv4/conf/all/arp_ignore", []byte("1"), 0o644); err != nil {
		return err
	}
	station, err := netlink.LinkByName("wlan1")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetName(station, "wifi0"); err != nil {
		return err
	}
	return netlink.AddrAdd(station, &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(10, 9, 0, 5), Mask: net.CIDRMask(24, 32)}})
}

const (
	plainAP = "interface=wlan0\n" + channelOne
	// spareAP is a second access point, on a second interface of the same radio.
	spareAP    = "interface=wlan2\nbssid=02:00:00:00:00:77\n" + channelOne
	channelOne = "driver=nl80211\nchannel=1\nhw_mode=g\nctrl_interface=/run/hostapd\n"
)

// ap is a configuration of hostapd, after plainAP.
const (
	apOpen   = "ssid=Kas 7\n"
	apWPA2   = "ssid=Kas 7\nwpa=2\nwpa_key_mgmt=WPA-PSK\nrsn_pairwise=CCMP\nwpa_passphrase=glass house 7\n"
	apHidden = apWPA2 + "ignore_broadcast_ssid=1\n"
	apWPA3   = "ssid=Kas 7\nwpa=2\nwpa_key_mgmt=SAE\nrsn_pairwise=CCMP\nsae_password=glass house 7\nieee80211w=2\nsae_pwe=2\n"
	apOther  = "ssid=Kas 8\nwpa=2\nwpa_key_mgmt=WPA-PSK\nrsn_pairwise=CCMP\nwpa_passphrase=glass house 8\n"
	apLogin  = "ssid=Kas 7\nwpa=2\nwpa_key_mgmt=WPA-EAP\nrsn_pairwise=CCMP\nieee8021x=1\neap_server=1\n" +
		"eap_user_file=/tmp/users\nca_cert=/tmp/ca.pem\nserver_cert=/tmp/server.pem\nprivate_key=/tmp/server.key\n"
	users = "\"outer\" PEAP,TTLS\n\"box-7\" TLS\n\"box-8\" MSCHAPV2,TTLS-MSCHAPV2 \"letmein\" [2]\n"
)

// TestJoins: every way to join, and every way to fail by the right name.
func TestJoins(t *testing.T) {
	ca := authority.New(t)
	login := func(method, password string, by *authority.Authority, server string) string {
		return "security: enterprise, eap: {method: " + method + ", identity: box-8, anonymous-identity: outer, password: " + password +
			", server-name: " + server + ", ca: " + quote(by.PEM()) + "}"
	}
	const server = "radius.example.org"
	cert, key := issue(t, ca, "box-7")
	eapTLS := "security: enterprise, eap: {method: tls, identity: box-7, ca: " + quote(ca.PEM()) +
		", certificate: " + quote(cert) + ", private-key: " + quote(key) + "}"
	for _, c := range []struct {
		name  string
		ap    string
		wifi  string
		fault probe.Fault // of the association; "" when it is joined
		saw   string
	}{
		{"WPA2", apWPA2, `security: wpa2, psk: "glass house 7"`, "", ""},
		{"WPA3", apWPA3, `security: wpa3, psk: "glass house 7"`, "", ""},
		{"WPA2 answers at a WPA3 access point", apWPA3, `security: wpa2, psk: "glass house 7"`, "", ""},
		{"open", apOpen, "security: open", "", ""},
		{"hidden", apHidden, `hidden: true, security: wpa2, psk: "glass house 7"`, "", ""},
		{"PEAP", apLogin, login("peap", "letmein", ca, server), "", ""},
		{"TTLS", apLogin, login("ttls", "letmein", ca, server), "", ""},
		{"TLS", apLogin, eapTLS, "", ""},
		{"wrong key, WPA2", apWPA2, `security: wpa2, psk: "glass house 8"`, probe.FaultWrongKey, ""},
		{"wrong key, WPA3", apWPA3, `security: wpa3, psk: "glass house 8"`, probe.FaultWrongKey, ""},
		{"wrong password, PEAP", apLogin, login("peap", "letmeout", ca, server), probe.FaultLogin, ""},
		{"another authority, PEAP", apLogin, login("peap", "letmein", authority.New(t), server), probe.FaultLogin, ""},
		{"another server, PEAP", apLogin, login("peap", "letmein", ca, "example.com"), probe.FaultLogin, ""},
		{"a network that is not there", apOther, `security: wpa2, psk: "glass house 7"`, probe.FaultNoNetwork, `such as "Kas 8"`},
		{"nothing in reach", "", `security: wpa2, psk: "glass house 7"`, probe.FaultNoNetwork, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.ap != "" {
				files(t, ca)
				start(t, "hostapd", write(t, "hostapd.conf", plainAP+c.ap))
			}
			want := supplicant(t, c.wifi)
			env := probe.Host()
			env.Associate = 25 * time.Second
			if c.fault == "" {
				env.Associate = 60 * time.Second
			}
			report := probe.Run(t.Context(), want, env)
			v := association(report)
			t.Logf("%s %s %d ms: %s", v.Outcome, v.Fault, v.Took.Milliseconds(), v.Saw)
			if v.Fault != c.fault || (c.fault == "") != (v.Outcome == probe.Passed) || !strings.Contains(v.Saw, c.saw) {
				t.Errorf("got %s %q, want fault %q", v.Outcome, v.Fault, c.fault)
			}
			if c.fault == "" && !report.Carried() {
				t.Errorf("the link does not work: %+v", report)
			}
		})
	}
}

// TestAwayAndBack: the access point goes away and comes back, and so does the link.
func TestAwayAndBack(t *testing.T) {
	conf := write(t, "hostapd.conf", plainAP+apWPA2)
	stop := start(t, "hostapd", conf)
	want := supplicant(t, `security: wpa2, psk: "glass house 7"`)
	env := probe.Host()
	env.Associate = 60 * time.Second
	if v := association(probe.Run(t.Context(), want, env)); v.Outcome != probe.Passed {
		t.Fatalf("not joined at first: %+v", v)
	}
	stop()
	env.Associate = 20 * time.Second
	if v := association(probe.Run(t.Context(), want, env)); v.Fault != probe.FaultNoNetwork {
		t.Fatalf("without an access point: %+v", v)
	}
	start(t, "hostapd", conf)
	env.Associate = 90 * time.Second
	if v := association(probe.Run(t.Context(), want, env)); v.Outcome != probe.Passed {
		t.Fatalf("not joined again: %+v", v)
	}
}

func association(r probe.Report) probe.Verdict {
	for _, v := range r.Verdicts {
		if v.Stage == probe.Association {
			return v
		}
	}
	return probe.Verdict{}
}

// supplicant has the box join the network "Kas 7".
func supplicant(t *testing.T, wifi string) probe.Want {
	t.Helper()
	return links(t, "\n    - {name: hall, addresses: [10.9.0.5/24], wifi: {ssid: Kas 7, "+wifi+"}}\n")
}

// quote writes PEM as one YAML text.
func quote(pem string) string { return `"` + strings.ReplaceAll(pem, "\n", `\n`) + `"` }

// issue makes the certificate of a server or a box, as PEM.
func issue(t *testing.T, ca *authority.Authority, name string) (cert, key string) {
	t.Helper()
	return authority.PEM(t, ca.Issue(t, func(c *x509.Certificate) { c.Subject.CommonName, c.DNSNames = name, []string{name} }))
}

// files are what hostapd reads for logins.
func files(t *testing.T, ca *authority.Authority) {
	t.Helper()
	cert, key := issue(t, ca, "radius.example.org")
	for path, text := range map[string]string{"/tmp/users": users, "/tmp/ca.pem": ca.PEM(), "/tmp/server.pem": cert, "/tmp/server.key": key} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
