//go:build linux

package probe

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Cards reads how every network card of the machine is now, in the kernel's order. Bridges,
// tunnels and whatever else has no hardware below it are left out. It waits for nothing.
func Cards(context.Context) ([]Card, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("asking the kernel for network cards: %w", err)
	}
	var cards []Card
	for _, l := range links {
		a := l.Attrs()
		if l.Type() != "device" || a.RawFlags&unix.IFF_LOOPBACK != 0 {
			continue
		}
		c, err := cardOf(l)
		if err != nil {
			return nil, err
		}
		cards = append(cards, c)
	}
	return cards, nil
}

func cardOf(l netlink.Link) (Card, error) {
	a := l.Attrs()
	c := Card{Name: a.Name, MAC: a.HardwareAddr.String(), On: a.RawFlags&unix.IFF_UP != 0, Carrier: hasCarrier(l)}
	addresses, err := netlink.AddrList(l, netlink.FAMILY_ALL)
	if err != nil {
		return c, fmt.Errorf("asking the kernel for the addresses of %s: %w", a.Name, err)
	}
	for _, address := range addresses {
		ip, ok := netip.AddrFromSlice(address.IP)
		if !ok || ip.IsLinkLocalUnicast() {
			continue // every card gives itself such a one; it leads nowhere
		}
		ones, _ := address.Mask.Size()
		c.Addresses = append(c.Addresses, netip.PrefixFrom(ip.Unmap(), ones))
	}
	return c, nil
}
