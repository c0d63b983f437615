// Package joins runs inside a guest with two simulated radios: wlan0 is the access
// points', wlan1 the box's.
package joins

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/network"
	"github.com/stek-edge/stek/installer/network/probe"
	"github.com/stek-edge/stek/installer/preseed"
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

// TestSpare: the access point of the preferred network goes away, and the radio joins
// the spare one; it comes back, and the radio returns. Each time systemd-networkd gives
// the radio the address and the way out of the network that was joined, and no other.
func TestSpare(t *testing.T) {
	secondInterface(t)
	takeAddresses(t)
	first := write(t, "first.conf", plainAP+apWPA2)
	stop := start(t, "hostapd", first)
	start(t, "hostapd", write(t, "second.conf", spareAP+apOther))
	text := `
    - {name: spare, priority: 50, addresses: [10.8.0.5/24], gateway: 10.8.0.1, wifi: {ssid: Kas 8, security: wpa2, psk: "glass house 8"}}
    - {name: hall, priority: 10, addresses: [10.9.0.5/24], gateway: 10.9.0.1, wifi: {ssid: Kas 7, security: wpa2, psk: "glass house 7"}}
`
	lay(t, text)
	networkd(t)
	want := links(t, text)
	hall, spare := want, want
	hall.Links, spare.Links = want.Links[:1], want.Links[1:]
	if hall.Links[0].Name != "hall" || spare.Links[0].Name != "spare" {
		t.Fatalf("the preferred link is not first: %+v", want.Links)
	}
	joins := func(want probe.Want, within time.Duration) {
		t.Helper()
		env := probe.Host()
		env.Associate = within
		v := association(probe.Run(t.Context(), want, env))
		t.Logf("%s %s %d ms: %s", v.Outcome, v.Fault, v.Took.Milliseconds(), v.Saw)
		if v.Outcome != probe.Passed {
			t.Fatalf("%s: %s", v.Of, v.Saw)
		}
		carries(t, want.Links[0].Addresses[0].Addr().String(), want.Links[0].Gateway.String())
	}
	joins(hall, time.Minute)
	stop()
	joins(spare, 90*time.Second)
	start(t, "hostapd", first)
	joins(hall, 4*time.Minute)
	for _, v := range probe.Run(t.Context(), want, probe.Host()).Verdicts {
		if v.Of == "spare" && v.Stage == probe.Association && (v.Outcome != probe.Skipped || !strings.Contains(v.Saw, "Kas 7") || v.Took > 10*time.Second) {
			t.Errorf("the spare network does not stand by: %+v", v)
		}
	}
}

// carries waits until the radio has one address, and traffic leaves by a gateway.
func carries(t *testing.T, address, gateway string) {
	t.Helper()
	var have []string
	var out []netlink.Route
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		have = nil
		for _, a := range addresses(t) {
			have = append(have, a.IP.String())
		}
		out, _ = netlink.RouteGet(net.ParseIP("198.51.100.1"))
		if len(have) == 1 && have[0] == address && len(out) == 1 && out[0].Gw.String() == gateway {
			t.Logf("%s, way out by %s", address, gateway)
			return
		}
	}
	t.Errorf("want %s and the gateway %s; the radio has %v, and the way out is %v", address, gateway, have, out)
}

func addresses(t *testing.T) []netlink.Addr {
	t.Helper()
	station, err := netlink.LinkByName("wifi0")
	if err != nil {
		t.Fatal(err)
	}
	all, err := netlink.AddrList(station, netlink.FAMILY_V4)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// takeAddresses takes away what prepare has given the radio.
func takeAddresses(t *testing.T) {
	t.Helper()
	station, err := netlink.LinkByName("wifi0")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses(t) {
		if err := netlink.AddrDel(station, &a); err != nil {
			t.Fatal(err)
		}
	}
}

// networkd starts systemd-networkd on the files that are there. It waits for udev,
// which does not run here, unless /sys can only be read, as in a container.
func networkd(t *testing.T) {
	t.Helper()
	owner, err := user.Lookup("systemd-network")
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(owner.Uid)
	gid, _ := strconv.Atoi(owner.Gid)
	for _, d := range []string{"/run/systemd", "/run/systemd/netif", "/run/systemd/netif/links", "/run/systemd/netif/leases", "/run/systemd/netif/lldp"} {
		if err := errors.Join(os.MkdirAll(d, 0o755), os.Chown(d, uid, gid)); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mount("", "/sys", "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatalf("making /sys read-only: %v", err)
	}
	t.Cleanup(func() { _ = unix.Mount("", "/sys", "", unix.MS_REMOUNT, "") })
	t.Setenv("SYSTEMD_LOG_TARGET", "console")
	t.Setenv("SYSTEMD_LOG_LEVEL", "debug") // shown when the test fails
	start(t, "/usr/lib/systemd/systemd-networkd")
}

// secondInterface gives the access points' radio a second interface.
func secondInterface(t *testing.T) {
	t.Helper()
	if out, err := exec.Command("iw", "dev", "wlan0", "interface", "add", "wlan2", "type", "managed").CombinedOutput(); err != nil {
		t.Fatalf("iw: %v: %s", err, out)
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

// lay renders links and writes their files.
func lay(t *testing.T, links string) probe.Want {
	t.Helper()
	text := "stek: 1\nencryption: {recovery: {show: true}}\nnetwork:\n  links:" + links
	a, err := preseed.Parse("box.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	station, err := net.InterfaceByName("wifi0")
	if err != nil {
		t.Fatal(err)
	}
	nics := []hardware.NIC{{Name: "wifi0", Type: "wifi", MAC: station.HardwareAddr.String()}}
	files, err := network.Render(a.Network, network.Facts{NICs: nics})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll("/etc/systemd/network"); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Link != "" {
			continue // for systemd, which does not run here
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(f.Path), 0o755), os.WriteFile(f.Path, f.Data, f.Mode)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := network.Want(a.Network, nics)
	if err != nil {
		t.Fatal(err)
	}
	return want
}

// links lays links and starts wpa_supplicant on what was rendered.
func links(t *testing.T, links string) probe.Want {
	t.Helper()
	want := lay(t, links)
	start(t, "wpa_supplicant", "-Dnl80211", "-iwifi0", "-c/etc/wpa_supplicant/wpa_supplicant-wifi0.conf")
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if _, err := os.Stat("/run/wpa_supplicant/wifi0"); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("wpa_supplicant does not listen")
		}
	}
	return want
}

// start runs a program until the test's end, or until it is stopped.
func start(t *testing.T, name string, args ...string) (stop func()) {
	t.Helper()
	cmd := exec.Command(name, args...)
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	stop = func() {
		if !ended {
			ended = true
			_ = cmd.Process.Signal(syscall.SIGTERM)
			_ = cmd.Wait()
		}
	}
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("%s:\n%s", name, log.String())
		}
	})
	return stop
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
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
