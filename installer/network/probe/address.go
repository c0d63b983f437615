//go:build linux

package probe

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// address waits for the link's addresses and asks who gives them.
func (p *prober) address(ctx context.Context, l Link) finding {
	seen := p.links[l.Name]
	var err error
	enough := func() bool {
		seen.addresses, err = addressesOf(l.Interface)
		return err == nil && len(missing(l, seen.addresses)) == 0 && (!l.DHCP || len(seen.addresses) > 0)
	}
	asked := make(chan error, 1)
	var answers []Offer
	go func() {
		if !l.DHCP {
			asked <- nil
			return
		}
		var err error
		answers, err = offers(ctx, l.Interface, p.Offers)
		asked <- err
	}()
	wait(ctx, p.Address, enough)
	if askErr := <-asked; askErr != nil && err == nil {
		err = askErr
	}
	seen.offers = answers
	if err != nil {
		return failed(FaultNoAddress, fmt.Sprintf("%s cannot be asked: %v", l.Interface, err))
	}
	return judgeAddress(l, seen.addresses, seen.offers)
}

// judgeAddress decides from what the card has and what DHCP servers offer.
func judgeAddress(l Link, have []netip.Prefix, offers []Offer) finding {
	if gone := missing(l, have); len(gone) > 0 {
		return failed(FaultNoAddress, fmt.Sprintf("%s does not have its fixed address %s", l.Interface, list(gone)))
	}
	if !l.DHCP {
		return passed(list(have) + ", fixed")
	}
	if words, two := contradict(offers); two {
		return failed(FaultDHCPTwo, "DHCP servers contradict each other: "+words)
	}
	switch {
	case len(have) == 0 && len(offers) == 0:
		return failed(FaultDHCPSilent, "no DHCP server answers on "+l.Interface)
	case len(have) == 0:
		return failed(FaultDHCPNone, fmt.Sprintf("%s offers %s and no lease came of it", offers[0].Server, offers[0].Address))
	case len(offers) == 0:
		return passed(list(have) + "; no DHCP server answers now, so the address will lapse if that lasts")
	}
	return passed(fmt.Sprintf("%s from %s", list(have), offers[0].Server))
}

// missing are the fixed addresses that a card does not have.
func missing(l Link, have []netip.Prefix) []netip.Prefix {
	var gone []netip.Prefix
	for _, want := range l.Addresses {
		if !slices.Contains(have, want) {
			gone = append(gone, want)
		}
	}
	return gone
}

// addressesOf lists what others can reach a card by: no link-local addresses, and
// none that the kernel found to be taken.
func addressesOf(name string) ([]netip.Prefix, error) {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return nil, err
	}
	all, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return nil, err
	}
	var out []netip.Prefix
	for _, a := range all {
		ip := addr(a.IP)
		bits, _ := a.Mask.Size()
		if ip.IsValid() && !ip.IsLinkLocalUnicast() && a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) == 0 {
			out = append(out, netip.PrefixFrom(ip, bits))
		}
	}
	return out, nil
}

func list[T fmt.Stringer](all []T) string {
	words := make([]string, len(all))
	for i, a := range all {
		words[i] = a.String()
	}
	return strings.Join(words, ", ")
}
