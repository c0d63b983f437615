// Package joins runs inside a guest with two simulated radios: wlan0 is the access
// points', wlan1 the box's.
package joins

import (
	"context"
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
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
	"github.com/insomniacslk/dhcp/dhcpv4/server4"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/network"
	"github.com/stek-edge/stek/installer/network/joined"
	"github.com/stek-edge/stek/installer/network/keep"
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
// the spare one; it comes back, and the radio returns. Each time the radio has the address
// and the way out of the network that was joined, and no other. So it is when wpa_supplicant
// was started anew, and after a time in which nobody followed the radio.
func TestSpare(t *testing.T) {
	secondInterface(t)
	takeAddresses(t)
	for _, c := range []struct{ name, spare, address string }{
		{"a fixed address in both", "addresses: [10.8.0.5/24], gateway: 10.8.0.1, ", "10.8.0.5"},
		{"DHCP in the spare one", "", "10.8.0.9"},
	} {
		t.Run(c.name, func(t *testing.T) { spare(t, c.spare, c.address) })
	}
}

// spare is TestSpare with what a link says of the spare network, and the address there.
func spare(t *testing.T, settings, address string) {
	first := write(t, "first.conf", plainAP+apWPA2)
	stop := start(t, "hostapd", first)
	start(t, "hostapd", write(t, "second.conf", spareAP+apOther))
	serveDHCP(t, "wlan2", "10.8.0.9", "10.8.0.1")
	text := `
    - {name: spare, priority: 50, ` + settings + `wifi: {ssid: Kas 8, security: wpa2, psk: "glass house 8"}}
    - {name: hall, priority: 10, addresses: [10.9.0.5/24], gateway: 10.9.0.1, wifi: {ssid: Kas 7, security: wpa2, psk: "glass house 7"}}
`
	lay(t, text)
	stopNetworkd := networkd(t)
	// Without systemd's first process nobody can have networkd read its files again.
	reload := func(context.Context) error {
		stopNetworkd()
		if err := keep.Clear([]string{"wifi0"}, nil); err != nil {
			return err
		}
		stopNetworkd = start(t, "/usr/lib/systemd/systemd-networkd")
		return nil
	}
	unfollow := follow(t, reload)
	defer func() { unfollow() }()
	want, stopSupplicant := supplicated(t, text)
	if want.Links[0].Name != "hall" || want.Links[1].Name != "spare" {
		t.Fatalf("the preferred link is not first: %+v", want.Links)
	}
	joins := func(l probe.Link, address, gateway string, within time.Duration) {
		t.Helper()
		env := probe.Host()
		env.Associate = within
		v := association(probe.Run(t.Context(), probe.Want{Links: []probe.Link{l}}, env))
		t.Logf("%s %s %d ms: %s", v.Outcome, v.Fault, v.Took.Milliseconds(), v.Saw)
		if v.Outcome != probe.Passed {
			t.Fatalf("%s: %s", v.Of, v.Saw)
		}
		carries(t, address, gateway)
	}
	onHall := func(within time.Duration) { t.Helper(); joins(want.Links[0], "10.9.0.5", "10.9.0.1", within) }
	onSpare := func(within time.Duration) { t.Helper(); joins(want.Links[1], address, "10.8.0.1", within) }
	onHall(time.Minute)
	stop()
	onSpare(90 * time.Second)
	stop = start(t, "hostapd", first)
	onHall(4 * time.Minute)
	for _, v := range probe.Run(t.Context(), want, probe.Host()).Verdicts {
		if v.Of == "spare" && v.Stage == probe.Association && (v.Outcome != probe.Skipped || !strings.Contains(v.Saw, "Kas 7") || v.Took > 10*time.Second) {
			t.Errorf("the spare network does not stand by: %+v", v)
		}
	}
	stopSupplicant()
	for deadline := time.Now().Add(20 * time.Second); len(addresses(t)) > 0; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no network is joined, and the radio still has %v", addresses(t))
		}
	}
	_, stopSupplicant = supplicated(t, text)
	onHall(time.Minute)
	unfollow()
	stopSupplicant()
	stop()
	supplicated(t, text)
	unfollow = follow(t, reload)
	onSpare(90 * time.Second)
}

// follow has the radio get what the network gives that it has joined.
func follow(t *testing.T, reload func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	heard := make(chan struct{}, 1)
	radios := joined.Here(heard, reload)
	var told []string
	radios.Tell = func(what string) { told = append(told, time.Now().Format(time.TimeOnly)+" "+what) }
	ended := make(chan error, 1)
	go joined.Listen(ctx, heard)
	go func() { ended <- joined.Follow(ctx, radios) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("followed:\n%s", strings.Join(told, "\n"))
		}
	})
	t.Cleanup(stop)
	return stop
}

// serveDHCP gives one address to whoever asks on an interface. Neither it nor the router has
// an address here: access point and box are one machine.
func serveDHCP(t *testing.T, on, lease, router string) {
	t.Helper()
	answer := func(conn net.PacketConn, _ net.Addr, m *dhcpv4.DHCPv4) {
		kind, known := map[dhcpv4.MessageType]dhcpv4.MessageType{
			dhcpv4.MessageTypeDiscover: dhcpv4.MessageTypeOffer, dhcpv4.MessageTypeRequest: dhcpv4.MessageTypeAck,
		}[m.MessageType()]
		if !known {
			return
		}
		reply, err := dhcpv4.NewReplyFromRequest(m, dhcpv4.WithMessageType(kind), dhcpv4.WithYourIP(net.ParseIP(lease)),
			dhcpv4.WithServerIP(net.ParseIP(router)), dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.ParseIP(router))),
			dhcpv4.WithNetmask(net.CIDRMask(24, 32)), dhcpv4.WithLeaseTime(600), dhcpv4.WithRouter(net.ParseIP(router)))
		if err == nil {
			_, _ = conn.WriteTo(reply.ToBytes(), &net.UDPAddr{IP: net.IPv4bcast, Port: dhcpv4.ClientPort})
		}
	}
	ended := make(chan struct{})
	t.Cleanup(func() { close(ended) })
	serve := func() error {
		conn, err := nclient4.NewRawUDPConn(on, dhcpv4.ServerPort)
		if err != nil {
			return err
		}
		defer conn.Close()
		server, err := server4.NewServer(on, nil, answer, server4.WithConn(conn))
		if err != nil {
			return err
		}
		go func() {
			<-ended
			conn.Close()
		}()
		return server.Serve()
	}
	go func() {
		for { // it ends whenever hostapd switches the interface off
			_ = serve()
			select {
			case <-ended:
				return
			case <-time.After(200 * time.Millisecond):
			}
		}
	}()
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
func networkd(t *testing.T) (stop func()) {
	t.Helper()
	// What its DHCPv6 client calls itself is made of this (machine-id(5)).
	if err := os.WriteFile("/etc/machine-id", []byte("5f3ea3a0a7d84b6e9d0c1f2b3a495867\n"), 0o644); err != nil {
		t.Fatal(err)
	}
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
	return start(t, "/usr/lib/systemd/systemd-networkd")
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
	if err := errors.Join(os.RemoveAll("/etc/systemd/network"), os.RemoveAll(network.JoinedDir)); err != nil {
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
	want, _ := supplicated(t, links)
	return want
}

func supplicated(t *testing.T, links string) (want probe.Want, stop func()) {
	t.Helper()
	want = lay(t, links)
	stop = start(t, "wpa_supplicant", "-Dnl80211", "-iwifi0", "-c/etc/wpa_supplicant/wpa_supplicant-wifi0.conf")
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if _, err := os.Stat("/run/wpa_supplicant/wifi0"); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("wpa_supplicant does not listen")
		}
	}
	return want, stop
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
