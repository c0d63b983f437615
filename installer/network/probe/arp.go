//go:build linux

package probe

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// duplicate asks whether somebody else has one of the link's addresses.
func (p *prober) duplicate(ctx context.Context, l Link) finding {
	var asked []netip.Addr
	for _, a := range p.links[l.Name].addresses {
		if !a.Addr().Is4() {
			continue
		}
		asked = append(asked, a.Addr())
		owner, err := probeARP(ctx, l.Interface, a.Addr())
		if err != nil {
			return failed(FaultDuplicate, fmt.Sprintf("nobody can be asked for %s: %v", a.Addr(), err))
		}
		if owner != nil {
			return failed(FaultDuplicate, fmt.Sprintf("%s is also used by the device %s", a.Addr(), owner))
		}
	}
	if taken := takenIPv6(l.Interface); taken.IsValid() {
		return failed(FaultDuplicate, fmt.Sprintf("%s is also used by another device", taken))
	}
	if len(asked) == 0 {
		return passed("the kernel found no other user of this card's addresses")
	}
	return passed("nobody else has " + list(asked))
}

// takenIPv6 is an address whose duplicate the kernel itself has found (RFC 4862,
// section 5.4).
func takenIPv6(name string) netip.Addr {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return netip.Addr{}
	}
	all, err := netlink.AddrList(link, netlink.FAMILY_V6)
	if err != nil {
		return netip.Addr{}
	}
	for _, a := range all {
		if a.Flags&unix.IFA_F_DADFAILED != 0 {
			return addr(a.IP)
		}
	}
	return netip.Addr{}
}

const (
	arpProbes = 3                      // PROBE_NUM of RFC 5227, section 1.1
	arpPause  = 400 * time.Millisecond // shorter than its PROBE_MIN: nobody waits in a queue here
)

// probeARP sends ARP probes and returns the hardware address of whoever answers for
// the address, nil when nobody does. A probe has no sender address, so it changes
// no table anywhere (RFC 5227, section 2.1.1).
func probeARP(ctx context.Context, name string, of netip.Addr) (net.HardwareAddr, error) {
	return askARP(ctx, name, netip.IPv4Unspecified(), of)
}

// askARP asks for the owner of an address. from is this box's address, or
// unspecified for a probe.
func askARP(ctx context.Context, name string, from, of netip.Addr) (net.HardwareAddr, error) {
	card, err := net.InterfaceByName(name)
	if err != nil {
		return nil, err
	}
	conn, err := packet.Listen(card, packet.Raw, unix.ETH_P_ARP, nil)
	if err != nil {
		return nil, fmt.Errorf("opening a packet socket on %s: %w", name, err)
	}
	client, err := arp.New(card, conn)
	if err != nil {
		conn.Close()
		return nil, err
	}
	defer client.Close()
	defer context.AfterFunc(ctx, func() { _ = client.SetDeadline(time.Unix(1, 0)) })()
	broadcast := net.HardwareAddr{255, 255, 255, 255, 255, 255}
	request, err := arp.NewPacket(arp.OperationRequest, card.HardwareAddr, from, net.HardwareAddr{0, 0, 0, 0, 0, 0}, of)
	if err != nil {
		return nil, err
	}
	for range arpProbes {
		if err := client.WriteTo(request, broadcast); err != nil {
			return nil, err
		}
		if err := client.SetReadDeadline(time.Now().Add(arpPause)); err != nil {
			return nil, err
		}
		for {
			got, _, err := client.Read()
			if err != nil {
				if ctx.Err() != nil {
					return nil, ctx.Err()
				}
				break // the pause is over, or foreign bytes: ask again
			}
			if got.SenderIP == of && !bytes.Equal(got.SenderHardwareAddr, card.HardwareAddr) {
				return got.SenderHardwareAddr, nil
			}
		}
	}
	return nil, nil
}
