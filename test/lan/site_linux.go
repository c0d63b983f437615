package lan

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// Site is a network namespace with servers in it.
type Site struct {
	ns netns.NsHandle
}

// New makes a site that forwards packets, as its router.
func New(t testing.TB) *Site {
	t.Helper()
	s := &Site{}
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		var err error
		s.ns, err = netns.New()
		made <- err
	}()
	must(t, <-made)
	t.Cleanup(func() { s.ns.Close() })
	s.Do(t, func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		return netlink.LinkSetUp(lo)
	})
	s.Forward(t, true)
	return s
}

// Forward switches the site's router on or off.
func (s *Site) Forward(t testing.TB, on bool) {
	t.Helper()
	value := "0"
	if on {
		value = "1"
	}
	// The file shows the namespace of the thread that opens it.
	s.Do(t, func() error { return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte(value), 0) })
}

// Do runs something in the site's namespace. Sockets opened there stay there.
func (s *Site) Do(t testing.TB, what func() error) {
	t.Helper()
	must(t, s.run(what))
}

func (s *Site) run(what func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if err := netns.Set(s.ns); err != nil {
			done <- err
			return
		}
		done <- what()
	}()
	return <-done
}

// Command runs a program in the site's namespace.
func (s *Site) Command(t testing.TB, args ...string) {
	t.Helper()
	s.Do(t, func() error { return command(args...) })
}

func command(args ...string) error {
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// Card is a network card of the box, whose cable leads to a site.
type Card struct {
	Name  string
	far   string // the other end, in the site
	site  *Site
	plain netlink.Link
}

// Cable gives the box a card with a cable to the site, whose end there has the
// addresses. The card is switched on and has no address.
func (s *Site) Cable(t testing.TB, name string, addresses ...string) *Card {
	t.Helper()
	c := &Card{Name: name, far: "to-" + name, site: s}
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: c.far}
	must(t, netlink.LinkAdd(pair))
	t.Cleanup(func() {
		if link, err := netlink.LinkByName(name); err == nil {
			_ = netlink.LinkDel(link)
		}
	})
	far, err := netlink.LinkByName(c.far)
	must(t, err)
	must(t, netlink.LinkSetNsFd(far, int(s.ns)))
	s.Do(t, func() error {
		far, err := netlink.LinkByName(c.far)
		if err != nil {
			return err
		}
		for _, a := range addresses {
			if err := addAddress(far, a); err != nil {
				return err
			}
		}
		return netlink.LinkSetUp(far)
	})
	c.plain, err = netlink.LinkByName(name)
	must(t, err)
	must(t, netlink.LinkSetUp(c.plain))
	return c
}

// Far runs something on the site's end of the cable.
func (c *Card) Far(t testing.TB, do func(netlink.Link) error) {
	t.Helper()
	c.site.Do(t, func() error {
		link, err := netlink.LinkByName(c.far)
		if err != nil {
			return err
		}
		return do(link)
	})
}

// Unplug pulls the cable, Plug puts it in again.
func (c *Card) Unplug(t testing.TB) { c.Far(t, netlink.LinkSetDown) }

// Plug puts the cable in.
func (c *Card) Plug(t testing.TB) { c.Far(t, netlink.LinkSetUp) }

// Hole makes the cable drop packets larger than size bytes without a word. Veth
// lets four bytes more through, for a VLAN tag.
func (c *Card) Hole(t testing.TB, size int) {
	t.Helper()
	c.Far(t, func(l netlink.Link) error { return netlink.LinkSetMTU(l, size-4) })
}

// Address gives the card a fixed address, and a default route when gateway is not "".
func (c *Card) Address(t testing.TB, address, gateway string) {
	t.Helper()
	must(t, addAddress(c.plain, address))
	if gateway != "" {
		must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: c.plain.Attrs().Index, Gw: net.ParseIP(gateway)}))
	}
}

// Host puts one more address at the site's end of the cable, such as that of a
// server far away.
func (c *Card) Host(t testing.TB, address string) {
	t.Helper()
	c.Far(t, func(l netlink.Link) error { return addAddress(l, address) })
}

func addAddress(link netlink.Link, text string) error {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return err
	}
	return netlink.AddrAdd(link, &netlink.Addr{IPNet: &net.IPNet{
		IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}})
}

// Slow limits both directions of the cable to a rate in bits each second, as a token
// bucket does, and loses one packet in so many.
func (c *Card) Slow(t testing.TB, rate, loseOneIn int) {
	t.Helper()
	bucket := func(name string) []string {
		return []string{"tc", "qdisc", "add", "dev", name, "root", "tbf", "rate", fmt.Sprint(rate), "burst", "1600", "latency", "2s"}
	}
	must(t, command(bucket(c.Name)...))
	c.site.Command(t, bucket(c.far)...)
	odds := fmt.Sprintf("%.4f", 1/float64(loseOneIn))
	for _, chain := range []string{"INPUT", "OUTPUT"} {
		c.site.Command(t, "iptables", "-w", "-A", chain, "-m", "statistic", "--mode", "random", "--probability", odds, "-j", "DROP")
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Sent counts the packets that have left the card.
func (c *Card) Sent(t testing.TB) uint64 {
	t.Helper()
	link, err := netlink.LinkByName(c.Name)
	must(t, err)
	return link.Attrs().Statistics.TxPackets
}

// Join puts one more DHCP server on the card's wire: the site's end of the cable and
// a third namespace become ports of one bridge, which is the site's end from then on.
func (c *Card) Join(t testing.TB, d DHCP) {
	t.Helper()
	other := New(t)
	port := &Card{Name: "port", far: "server", site: other}
	c.site.Do(t, func() error {
		bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "wire"}}
		pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: port.Name}, PeerName: port.far}
		for _, l := range []netlink.Link{bridge, pair} {
			if err := netlink.LinkAdd(l); err != nil {
				return err
			}
		}
		far, err := netlink.LinkByName(port.far)
		if err != nil {
			return err
		}
		if err := netlink.LinkSetNsFd(far, int(other.ns)); err != nil {
			return err
		}
		cable, err := netlink.LinkByName(c.far)
		if err != nil {
			return err
		}
		// The bridge takes over the addresses and the place of the cable's end.
		addresses, err := netlink.AddrList(cable, netlink.FAMILY_V4)
		if err != nil {
			return err
		}
		for _, l := range []netlink.Link{pair, cable} {
			if err := netlink.LinkSetMaster(l, bridge); err != nil {
				return err
			}
			if err := netlink.LinkSetUp(l); err != nil {
				return err
			}
		}
		for _, a := range addresses {
			a.Label, a.LinkIndex = "", 0
			moved := a
			if err := netlink.AddrDel(cable, &moved); err != nil {
				return err
			}
			if err := netlink.AddrAdd(bridge, &netlink.Addr{IPNet: a.IPNet}); err != nil {
				return err
			}
		}
		return netlink.LinkSetUp(bridge)
	})
	port.Far(t, func(l netlink.Link) error {
		if err := addAddress(l, d.Server+"/24"); err != nil {
			return err
		}
		return netlink.LinkSetUp(l)
	})
	c.far = "wire"
	port.DHCP(t, d)
}

// Wire joins another site to this one, which becomes its router: the other's end of the
// cable, with its address, is called "wan".
func (s *Site) Wire(t testing.TB, other *Site, name, router, address string) {
	t.Helper()
	s.Do(t, func() error {
		if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: "wan"}); err != nil {
			return err
		}
		far, err := netlink.LinkByName("wan")
		if err != nil {
			return err
		}
		if err := netlink.LinkSetNsFd(far, int(other.ns)); err != nil {
			return err
		}
		near, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		if err := addAddress(near, router); err != nil {
			return err
		}
		return netlink.LinkSetUp(near)
	})
	other.Readdress(t, "wan", address, strings.Split(router, "/")[0])
}

// Readdress takes the addresses of one of the site's cards away and gives it another, and
// a default route.
func (s *Site) Readdress(t testing.TB, name, address, gateway string) {
	t.Helper()
	s.Do(t, func() error {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		before, err := netlink.AddrList(link, netlink.FAMILY_V4)
		if err != nil {
			return err
		}
		for _, a := range before {
			if err := netlink.AddrDel(link, &a); err != nil {
				return err
			}
		}
		if err := addAddress(link, address); err != nil {
			return err
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return err
		}
		return netlink.RouteReplace(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: net.ParseIP(gateway)})
	})
}
