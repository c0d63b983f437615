//go:build linux

package probe

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// beyond is an address of TEST-NET-2 (RFC 5737), which no network on earth has. A
// packet to it, with a time to live of one, goes to the gateway and no further.
var beyond = netip.MustParseAddr("198.51.100.1")

// gateway asks whether the link's gateway is there, and whether it is a router.
func (p *prober) gateway(ctx context.Context, l Link) finding {
	var via netip.Addr
	var err error
	// Routes come a little after the addresses.
	wait(ctx, p.Address, func() bool {
		via, err = gatewayOf(l.Interface)
		return err == nil && (via == l.Gateway && via.IsValid() || !l.Gateway.IsValid() && (via.IsValid() || !l.DHCP))
	})
	if err != nil {
		return failed(FaultNoGateway, fmt.Sprintf("the routes cannot be read: %v", err))
	}
	if l.Gateway.IsValid() && via != l.Gateway {
		return failed(FaultNoGateway, fmt.Sprintf("%s has %s as gateway and should have %s", l.Interface, word(via), l.Gateway))
	}
	if !via.IsValid() {
		if l.DHCP {
			return failed(FaultNoGateway, "no gateway was told, so this link leads nowhere else")
		}
		return skipped("this link has no gateway: it reaches its own network only")
	}
	if !via.Is4() {
		return p.gatewayIPv6(l, via)
	}
	own := ownAddress(p.links[l.Name].addresses, via)
	if !own.IsValid() {
		return failed(FaultGatewaySilent, fmt.Sprintf("the gateway %s is in none of the networks of %s", via, l.Interface))
	}
	owner, err := askARP(ctx, l.Interface, own, via)
	if err != nil {
		return failed(FaultGatewaySilent, fmt.Sprintf("the gateway %s cannot be asked: %v", via, err))
	}
	if owner == nil {
		return failed(FaultGatewaySilent, fmt.Sprintf("nobody answers at the gateway's address %s", via))
	}
	return p.forwards(ctx, l, via, owner.String())
}

// forwards tells a router from a device that only answers. Not every router says
// that it dropped a packet, so silence alone proves nothing; then one of the
// servers behind it has to answer to anything.
func (p *prober) forwards(ctx context.Context, l Link, via netip.Addr, hardware string) finding {
	saw := fmt.Sprintf("%s answers as %s", via, hardware)
	if chosen, err := routeTo(beyond); err != nil || chosen != l.Interface {
		return passed(saw + "; another link is preferred now")
	}
	r, err := ping(ctx, beyond, 64, 1, p.Tries, p.Answer/2)
	if err != nil {
		return failed(FaultGatewaySilent, fmt.Sprintf("no packet can be sent to %s: %v", via, err))
	}
	switch r.kind {
	case replyExpired:
		return passed(saw + " and is a router")
	case replyUnreachable:
		return passed(saw + " and says what it cannot reach")
	}
	p.silent[l.Name] = true
	return passed(saw)
}

// gatewayIPv6 trusts the kernel: a router that advertises itself is there, and
// neighbour discovery has marked one that is gone.
func (p *prober) gatewayIPv6(l Link, via netip.Addr) finding {
	link, err := netlink.LinkByName(l.Interface)
	if err != nil {
		return failed(FaultNoGateway, err.Error())
	}
	neighbours, err := netlink.NeighList(link.Attrs().Index, netlink.FAMILY_V6)
	if err != nil {
		return failed(FaultNoGateway, fmt.Sprintf("the neighbours of %s cannot be read: %v", l.Interface, err))
	}
	for _, n := range neighbours {
		if addr(n.IP) != via {
			continue
		}
		if n.State&(netlink.NUD_FAILED|netlink.NUD_INCOMPLETE) != 0 {
			return failed(FaultGatewaySilent, fmt.Sprintf("nobody answers at the gateway's address %s", via))
		}
		return passed(fmt.Sprintf("%s is there as %s", via, n.HardwareAddr))
	}
	return passed(fmt.Sprintf("%s is the gateway; nothing was sent to it yet", via))
}

// gatewayOf returns the gateway of a card's best default route, the zero address
// when it has none.
func gatewayOf(name string) (netip.Addr, error) {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return netip.Addr{}, err
	}
	routes, err := netlink.RouteList(link, netlink.FAMILY_ALL)
	if err != nil {
		return netip.Addr{}, err
	}
	var best *netlink.Route
	for i, r := range routes {
		if !isDefault(r) || r.Gw == nil {
			continue
		}
		if best == nil || (r.Gw.To4() != nil) == (best.Gw.To4() != nil) && r.Priority < best.Priority || r.Gw.To4() != nil && best.Gw.To4() == nil {
			best = &routes[i]
		}
	}
	if best == nil {
		return netip.Addr{}, nil
	}
	return addr(best.Gw), nil
}

func isDefault(r netlink.Route) bool {
	if r.Dst == nil {
		return true
	}
	ones, _ := r.Dst.Mask.Size()
	return ones == 0 && r.Dst.IP.IsUnspecified()
}

// routeTo names the card that the kernel would send to an address by.
func routeTo(to netip.Addr) (string, error) {
	routes, err := netlink.RouteGet(to.AsSlice())
	if err != nil {
		return "", err
	}
	if len(routes) == 0 {
		return "", errors.New("there is no route")
	}
	link, err := netlink.LinkByIndex(routes[0].LinkIndex)
	if err != nil {
		return "", err
	}
	return link.Attrs().Name, nil
}

// ownAddress is the address that shares a network with another one.
func ownAddress(own []netip.Prefix, other netip.Addr) netip.Addr {
	for _, a := range own {
		if a.Contains(other) {
			return a.Addr()
		}
	}
	return netip.Addr{}
}
