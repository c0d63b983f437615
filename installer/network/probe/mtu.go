//go:build linux

package probe

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
)

// smallest is what every IPv4 network carries in one piece in practice; IPv6 asks
// for 1280 (RFC 8200, section 5).
const smallest = 576 // bytes

// mtu looks for the largest packet that passes on the way to the far end, and for
// routers that drop larger ones without a word.
func (p *prober) mtu(ctx context.Context) {
	began := time.Now()
	to, limit := p.farthest(ctx)
	if !to.IsValid() {
		p.add(MTU, "", began, skipped("nothing is known that could answer"))
		return
	}
	largest, told, err := p.largest(ctx, to, limit)
	var f finding
	switch {
	case err != nil:
		f = skipped(fmt.Sprintf("%s cannot be asked: %v", to, err))
	case largest == 0:
		f = skipped(fmt.Sprintf("%s does not answer echo requests", to))
	case largest >= limit:
		f = passed(fmt.Sprintf("packets of %d bytes reach %s", limit, to))
	case told:
		f = passed(fmt.Sprintf("packets of %d bytes reach %s, and larger ones are refused with a word", largest, to))
	default:
		f = failed(FaultBlackHole, fmt.Sprintf("packets of up to %d bytes reach %s, larger ones vanish without a word", largest, to))
		f.do = fmt.Sprintf("set the MTU of the link to %d, or have the site let ICMP \"fragmentation needed\" through", largest)
	}
	p.add(MTU, "", began, f)
}

// largest finds by halving the largest packet that is answered. told reports
// whether somebody said that larger ones are too large.
func (p *prober) largest(ctx context.Context, to netip.Addr, limit int) (size int, told bool, err error) {
	try := func(size int) (bool, error) {
		r, err := ping(ctx, to, size, 0, p.Tries, p.Answer/2)
		if r.kind == replyTooBig {
			told = true
		}
		return r.kind == replyEcho, err
	}
	good, err := try(smallest)
	if err != nil || !good {
		return 0, false, err
	}
	if good, err = try(limit); err != nil || good {
		return limit, false, err
	}
	low, high := smallest, limit
	for high-low > 1 {
		middle := (low + high) / 2
		good, err := try(middle)
		if err != nil {
			return 0, false, err
		}
		if good {
			low = middle
		} else {
			high = middle
		}
	}
	return low, told, nil
}

// farthest chooses whom to ask, and how large a packet this box may send to it: the
// farther away it is, the more of the way is tested.
func (p *prober) farthest(ctx context.Context) (netip.Addr, int) {
	var hosts []string
	if t := p.want.Tunnel; t != nil {
		for _, e := range t.Endpoints {
			if host, _, err := net.SplitHostPort(e); err == nil {
				hosts = append(hosts, host)
			}
		}
	}
	for _, s := range p.want.Services {
		if p.want.Proxy == nil || s.Direct {
			hosts = append(hosts, s.URL.Hostname())
		}
	}
	if p.want.Proxy != nil {
		hosts = append(hosts, p.want.Proxy.URL.Hostname())
	}
	hosts = append(hosts, p.want.TimeServers...)
	for _, s := range p.nameServers {
		hosts = append(hosts, s.String())
	}
	var candidates []netip.Addr
	for _, h := range hosts {
		if found, err := p.lookup(ctx, h); err == nil {
			candidates = append(candidates, found...)
		}
	}
	for _, l := range p.want.Links {
		if via, err := gatewayOf(l.Interface); err == nil {
			candidates = append(candidates, via)
		}
	}
	candidates = slices.DeleteFunc(candidates, func(a netip.Addr) bool { return !a.Is4() })
	for _, a := range candidates {
		if r, err := ping(ctx, a, 64, 0, p.Tries, p.Answer/2); err == nil && r.kind == replyEcho {
			return a, mtuTo(a)
		}
	}
	if len(candidates) == 0 {
		return netip.Addr{}, 0
	}
	return candidates[0], mtuTo(candidates[0])
}

// mtuTo is the MTU of the card that leads to an address, in bytes.
func mtuTo(to netip.Addr) int {
	const usual = 1500
	name, err := routeTo(to)
	if err != nil {
		return usual
	}
	link, err := netlink.LinkByName(name)
	if err != nil || link.Attrs().MTU < smallest {
		return usual
	}
	return link.Attrs().MTU
}
