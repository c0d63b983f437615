//go:build linux

package probe

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
)

// A card is read as it is: with a cable, without one, with addresses that lead somewhere.
func TestCards(t *testing.T) {
	newSite(t)
	link, err := netlink.LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []string{"192.168.7.20/24", "169.254.7.7/16", "fd00::20/64"} {
		address, err := netlink.ParseAddr(a)
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.AddrAdd(link, address); err != nil {
			t.Fatal(err)
		}
	}
	card, err := cardOf(link)
	want := []netip.Prefix{netip.MustParsePrefix("192.168.7.20/24"), netip.MustParsePrefix("fd00::20/64")}
	if err != nil || card.Name != "eth0" || card.MAC != link.Attrs().HardwareAddr.String() || !slices.Equal(card.Addresses, want) {
		t.Errorf("%+v, %v", card, err)
	}
	for _, up := range []bool{true, false} {
		change := netlink.LinkSetDown
		if up {
			change = netlink.LinkSetUp
		}
		if err := change(link); err != nil {
			t.Fatal(err)
		}
		now, err := netlink.LinkByName("eth0")
		if err != nil {
			t.Fatal(err)
		}
		if card, err := cardOf(now); err != nil || card.On != up {
			t.Errorf("up %v: %+v, %v", up, card, err)
		}
	}
	if _, err := Cards(t.Context()); err != nil {
		t.Error(err)
	}
}
