//go:build linux

package network

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/network"
	"github.com/stek-edge/stek/installer/network/keep"
	"github.com/stek-edge/stek/installer/network/probe"
	"github.com/stek-edge/stek/installer/preseed"
	"github.com/stek-edge/stek/test/lan"
)

func TestMain(m *testing.M) { lan.Main(m) }

// box is this process: its cards, and systemd-networkd.
type box struct {
	t        *testing.T
	networkd *lan.Networkd
	nics     []hardware.NIC
	keeper   keep.Keeper
	env      probe.Env
}

func newBox(t *testing.T, cards ...*lan.Card) *box {
	b := &box{t: t, networkd: lan.StartNetworkd(t), env: probe.Host()}
	for _, c := range cards {
		card, err := net.InterfaceByName(c.Name)
		if err != nil {
			t.Fatal(err)
		}
		b.nics = append(b.nics, hardware.NIC{Name: c.Name, Type: "ethernet", MAC: card.HardwareAddr.String(), Driver: "veth"})
	}
	b.env.Resolv = filepath.Join(t.TempDir(), "none")
	b.env.Carrier, b.env.Address, b.env.Offers, b.env.Answer = 2*time.Second, 8*time.Second, time.Second, 300*time.Millisecond
	b.keeper = keep.Keeper{
		Dir: filepath.Join(t.TempDir(), "journal"), Root: "/",
		Reload: keep.Systemd{Cards: b.nics, Run: b.systemctl}.Reload,
		Test: func(ctx context.Context, c keep.Config) probe.Report {
			n, err := network.Recall(c.Test)
			if err != nil {
				t.Error(err)
			}
			return probe.Run(ctx, b.want(n), b.env)
		},
	}
	return b
}

// systemctl stops and starts systemd-networkd, without a systemd. Nothing else runs here.
func (b *box) systemctl(_ context.Context, _ string, args ...string) error {
	switch strings.Join(args, " ") {
	case "stop systemd-networkd.socket systemd-networkd.service":
		b.networkd.Stop()
	case "start systemd-networkd.service":
		return b.networkd.Start()
	}
	return nil
}

func (b *box) want(n preseed.Network) probe.Want {
	want, err := network.Want(n, b.nics)
	if err != nil {
		b.t.Fatal(err)
	}
	return want
}

// config renders the network of an answer file. The ends of a namespace's cables are
// of the kind veth; only what belongs to networkd is put in place here.
func (b *box) config(text string) keep.Config {
	b.t.Helper()
	for _, nic := range b.nics {
		text = strings.ReplaceAll(text, "MAC-"+nic.Name, nic.MAC)
	}
	a, err := preseed.Parse("box.yaml", []byte("stek: 1\nencryption: {recovery: {show: true}}\n"+text))
	if err != nil {
		b.t.Fatal(err)
	}
	files, err := network.Render(a.Network, network.Facts{Node: "kas-7", NICs: b.nics})
	if err != nil {
		b.t.Fatal(err)
	}
	test, err := network.Remember(a.Network)
	if err != nil {
		b.t.Fatal(err)
	}
	c := keep.Config{Test: test}
	for _, f := range files {
		if strings.HasPrefix(f.Path, "/etc/systemd/network/") {
			f.Data = bytes.ReplaceAll(f.Data, []byte("Kind=!*"), []byte("Kind=veth"))
			c.Files = append(c.Files, f)
		}
	}
	return c
}

// install puts a configuration in place as the installer does.
func (b *box) install(c keep.Config) {
	b.t.Helper()
	if err := b.keeper.Write(keep.Config{}, c); err != nil {
		b.t.Fatal(err)
	}
	if err := b.keeper.Adopt(c); err != nil {
		b.t.Fatal(err)
	}
	if err := b.networkd.Restart(); err != nil {
		b.t.Fatal(err)
	}
}

func (b *box) works(c keep.Config) {
	b.t.Helper()
	report := b.keeper.Test(b.t.Context(), c)
	if v, failed := report.Failed(); failed {
		b.t.Errorf("%s: %s", v.Stage, v.Saw)
	}
}

const fixed = `network:
  links: [{name: uplink, match: {mac: "MAC-eth0"}, addresses: [192.168.7.20/24], gateway: 192.168.7.1, dns: [192.168.7.1]}]
`

func site(t *testing.T) (*lan.Site, *lan.Card) {
	t.Helper()
	s := lan.New(t)
	card := s.Cable(t, "eth0", "192.168.7.1/24")
	s.DNS(t, "192.168.7.1", nil)
	return s, card
}

func TestFixed(t *testing.T) {
	_, card := site(t)
	b := newBox(t, card)
	c := b.config(fixed)
	b.install(c)
	b.works(c)
}

// TestBothFamilies: a card that is found by its driver has a way out by IPv4 and by IPv6.
func TestBothFamilies(t *testing.T) {
	_, card := site(t)
	b := newBox(t, card)
	c := b.config(`network:
  links: [{name: uplink, match: {driver: veth}, addresses: [192.168.7.20/24, "fd00:7::20/64"], gateway: [192.168.7.1, "fd00:7::1"], dns: [192.168.7.1]}]
`)
	b.install(c)
	b.works(c)
	link, err := netlink.LinkByName(card.Name)
	if err != nil {
		t.Fatal(err)
	}
	out := func() bool {
		routes, err := netlink.RouteList(link, netlink.FAMILY_V6)
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(routes, func(r netlink.Route) bool { return r.Gw.Equal(net.ParseIP("fd00:7::1")) })
	}
	for deadline := time.Now().Add(10 * time.Second); !out(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("there is no way out by IPv6")
		}
	}
}

func TestNothingSaid(t *testing.T) {
	_, card := site(t)
	card.DHCP(t, lan.DHCP{Server: "192.168.7.1", Lease: "192.168.7.50/24", Router: "192.168.7.1", DNS: "192.168.7.1"})
	b := newBox(t, card)
	c := b.config("network: {}\n")
	b.install(c)
	b.works(c)
}

// TestOffline: a card with a cable and a DHCP server that would answer, and not one
// packet leaves.
func TestOffline(t *testing.T) {
	_, card := site(t)
	card.DHCP(t, lan.DHCP{Server: "192.168.7.1", Lease: "192.168.7.50/24", Router: "192.168.7.1"})
	link, err := netlink.LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetDown(link); err != nil { // as a card is at power-on
		t.Fatal(err)
	}
	before := card.Sent(t)
	b := newBox(t, card)
	c := b.config("network: {offline: true}\n")
	b.install(c)
	b.works(c)
	time.Sleep(5 * time.Second)
	if sent := card.Sent(t) - before; sent != 0 {
		t.Errorf("%d packets left", sent)
	}
}

// TestPriority: the preferred link is used, the other one while its cable is out.
func TestPriority(t *testing.T) {
	s, first := site(t)
	second := s.Cable(t, "eth1", "192.168.8.1/24")
	second.DHCP(t, lan.DHCP{Server: "192.168.8.1", Lease: "192.168.8.50/24", Router: "192.168.8.1"})
	b := newBox(t, first, second)
	b.install(b.config(`network:
  links:
    - {name: spare, match: {mac: "MAC-eth1"}, priority: 50}
    - {name: uplink, match: {mac: "MAC-eth0"}, priority: 10, addresses: [192.168.7.20/24], gateway: 192.168.7.1}
`))
	uses := func(card string) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			routes, err := netlink.RouteGet(net.ParseIP("198.51.100.1"))
			if err == nil && len(routes) == 1 {
				if link, err := netlink.LinkByIndex(routes[0].LinkIndex); err == nil && link.Attrs().Name == card {
					return
				}
			}
			if time.Now().After(deadline) {
				t.Fatalf("traffic does not leave by %s: %v, %v", card, routes, err)
			}
		}
	}
	uses("eth0")
	waitAddress(t, "eth1", "192.168.8.50")
	uses("eth0")
	first.Unplug(t)
	uses("eth1")
	first.Plug(t)
	uses("eth0")
}

func waitAddress(t *testing.T, card, address string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		have := addressesOf(t, card)
		for _, a := range have {
			if a.IP.Equal(net.ParseIP(address)) {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not get %s: %v", card, address, have)
		}
	}
}

// addressesOf are none while the interface is not there.
func addressesOf(t *testing.T, card string) []netlink.Addr {
	t.Helper()
	link, err := netlink.LinkByName(card)
	if err != nil {
		return nil
	}
	all, err := netlink.AddrList(link, netlink.FAMILY_V4)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestWorseReturns: a configuration that does not work is tried, and the one that
// did returns by itself.
func TestWorseReturns(t *testing.T) {
	_, card := site(t)
	b := newBox(t, card)
	good := b.config(fixed)
	b.install(good)
	past, err := b.keeper.Try(t.Context(), b.config(strings.ReplaceAll(fixed, "gateway: 192.168.7.1", "gateway: 192.168.7.99")), 0)
	if err != nil || past.Kept || !strings.Contains(past.Reason, "gateway: nobody answers at the gateway's address 192.168.7.99") {
		t.Fatalf("got %+v, %v", past, err)
	}
	b.works(good)
}

// TestUnconfirmedReturns: a configuration that works, but not for the person who set
// it, returns when its time is over.
func TestUnconfirmedReturns(t *testing.T) {
	_, card := site(t)
	b := newBox(t, card)
	good := b.config(fixed)
	b.install(good)
	other := b.config(strings.ReplaceAll(fixed, "192.168.7.20/24", "192.168.7.21/24"))
	past, err := b.keeper.Try(t.Context(), other, time.Second)
	if err != nil || past.Kept || past.Reason != "nobody confirmed it in time" {
		t.Fatalf("got %+v, %v", past, err)
	}
	b.works(good)
}

func TestConfirmed(t *testing.T) {
	_, card := site(t)
	b := newBox(t, card)
	b.install(b.config(fixed))
	other := b.config(strings.ReplaceAll(fixed, "192.168.7.20/24", "192.168.7.21/24"))
	go func() {
		for b.keeper.Confirm(other.ID()) != nil && t.Context().Err() == nil {
			time.Sleep(50 * time.Millisecond)
		}
	}()
	past, err := b.keeper.Try(t.Context(), other, 20*time.Second)
	if err != nil || !past.Kept {
		t.Fatalf("got %+v, %v", past, err)
	}
	b.works(other)
	if s, err := b.keeper.Load(); err != nil || s.Trial != nil || s.Kept.ID() != other.ID() {
		t.Errorf("the journal has %+v, %v", s, err)
	}
}

// TestNetdevs: an interface that both configurations make in the same way stays, with what
// lies on it, and has the addresses and routes of the new one alone. One that is made in
// another way is made anew. A bridge stands here for the tunnel, which not every kernel has.
func TestNetdevs(t *testing.T) {
	_, card := site(t)
	b := newBox(t, card)
	config := func(answers, device, address string) keep.Config {
		c := b.config(answers)
		c.Files = append(c.Files,
			network.File{Path: "/etc/systemd/network/50-over.netdev", Mode: 0o644, Data: []byte("[NetDev]\nName=over\nKind=bridge\n" + device)},
			network.File{Path: "/etc/systemd/network/50-over.network", Mode: 0o644, Data: []byte("[Match]\nName=over\n[Network]\nLinkLocalAddressing=no\nConfigureWithoutCarrier=yes\nAddress=" + address + "\n")})
		return c
	}
	index := func() int {
		t.Helper()
		link, err := netlink.LinkByName("over")
		if err != nil {
			t.Fatal(err)
		}
		return link.Attrs().Index
	}
	change := func(to keep.Config, address string) {
		t.Helper()
		if past, err := b.keeper.Try(t.Context(), to, 0); err != nil || !past.Kept {
			t.Fatalf("got %+v, %v", past, err)
		}
		waitAddress(t, "over", address)
		if all := addressesOf(t, "over"); len(all) != 1 {
			t.Errorf("addresses of the configuration before are left: %v", all)
		}
	}
	b.install(config(fixed, "", "10.5.0.2/24"))
	waitAddress(t, "over", "10.5.0.2")
	first := index()
	other := strings.ReplaceAll(fixed, "192.168.7.20/24", "192.168.7.21/24")
	change(config(other, "", "10.5.0.2/24"), "10.5.0.2")
	change(config(other, "", "10.6.0.3/24"), "10.6.0.3")
	if now := index(); now != first {
		t.Errorf("it was made anew: it had the number %d and has %d", first, now)
	}
	change(config(other, "[Bridge]\nPriority=7\n", "10.6.0.3/24"), "10.6.0.3")
	if index() == first {
		t.Error("it was to be made anew, and stayed")
	}
}

// TestRestart: the power goes while a configuration waits for its confirmation.
// The next start finds the old files in place before networkd runs.
func TestRestart(t *testing.T) {
	_, card := site(t)
	b := newBox(t, card)
	good := b.config(fixed)
	b.install(good)
	other := b.config(strings.ReplaceAll(fixed, "192.168.7.20/24", "192.168.7.21/24"))
	ctx, cut := context.WithCancel(t.Context())
	reloads := 0
	dying := b.keeper
	dying.Reload = func(ctx context.Context, before, now keep.Config) error {
		if reloads++; reloads == 1 {
			return b.keeper.Reload(ctx, before, now)
		}
		// The power went: what would have brought the old files back is undone.
		return dying.Write(good, other)
	}
	dying.Test = func(ctx context.Context, c keep.Config) probe.Report {
		r := b.keeper.Test(ctx, c)
		if reloads == 1 {
			copyJournal(t, dying.Dir)
			cut()
		}
		return r
	}
	if _, err := dying.Try(ctx, other, time.Minute); err != nil {
		t.Fatal(err)
	}
	restoreJournal(t, dying.Dir)
	if a, err := os.ReadFile("/etc/systemd/network/10-stek-uplink.network"); err != nil || !bytes.Contains(a, []byte("192.168.7.21")) {
		t.Fatalf("the trial is not in place: %s, %v", a, err)
	}
	past, err := b.keeper.Settle()
	if err != nil || past == nil || past.Kept || past.Reason != "the box restarted before it was kept" {
		t.Fatalf("got %+v, %v", past, err)
	}
	if err := b.keeper.Reload(t.Context(), other, good); err != nil { // as a start does, with cards that have nothing
		t.Fatal(err)
	}
	b.works(good)
	if past, err := b.keeper.Settle(); err != nil || past != nil {
		t.Errorf("a second start found %+v, %v", past, err)
	}
}

// copyJournal and restoreJournal keep the disk as it was at the cut.
func copyJournal(t *testing.T, dir string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "network.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "at-the-cut"), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func restoreJournal(t *testing.T, dir string) {
	t.Helper()
	if err := os.Rename(filepath.Join(dir, "at-the-cut"), filepath.Join(dir, "network.json")); err != nil {
		t.Fatal(err)
	}
}
