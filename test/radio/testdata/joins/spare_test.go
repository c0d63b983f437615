package joins

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
	"github.com/insomniacslk/dhcp/dhcpv4/server4"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/installer/network/joined"
	"github.com/stek-edge/stek/installer/network/keep"
	"github.com/stek-edge/stek/installer/network/probe"
	"github.com/stek-edge/stek/test/lan"
)

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
	serveDHCP(t, "wlan2", lan.DHCP{Server: "10.8.0.1", Lease: "10.8.0.9/24", Router: "10.8.0.1"})
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
	radios := joined.Here(ctx, reload)
	var told []string
	radios.Tell = func(what string) { told = append(told, time.Now().Format(time.TimeOnly)+" "+what) }
	ended := make(chan error, 1)
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
func serveDHCP(t *testing.T, on string, d lan.DHCP) {
	t.Helper()
	ended := make(chan struct{})
	t.Cleanup(func() { close(ended) })
	serve := func() error {
		conn, err := nclient4.NewRawUDPConn(on, dhcpv4.ServerPort)
		if err != nil {
			return err
		}
		defer conn.Close()
		server, err := server4.NewServer(on, nil, d.Answer, server4.WithConn(conn))
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
