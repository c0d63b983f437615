package lan

import (
	"net"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
	"github.com/insomniacslk/dhcp/dhcpv4/server4"
	"github.com/vishvananda/netlink"
)

// DHCP is a DHCP server with one address to give.
type DHCP struct {
	Server, Lease, Router string // Lease is an address with its prefix length
	DNS, NTP, Portal      string
	OffersOnly            bool // it never acknowledges
}

// Answer is the server's: a server4.Handler.
func (d DHCP) Answer(conn net.PacketConn, _ net.Addr, m *dhcpv4.DHCPv4) {
	lease, network, err := net.ParseCIDR(d.Lease)
	if err != nil {
		return
	}
	kind := dhcpv4.MessageTypeOffer
	switch m.MessageType() {
	case dhcpv4.MessageTypeDiscover:
	case dhcpv4.MessageTypeRequest:
		if id := m.ServerIdentifier(); d.OffersOnly || id != nil && id.String() != d.Server {
			return
		}
		kind = dhcpv4.MessageTypeAck
	default:
		return
	}
	with := []dhcpv4.Modifier{
		dhcpv4.WithMessageType(kind), dhcpv4.WithYourIP(lease), dhcpv4.WithServerIP(net.ParseIP(d.Server)),
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.ParseIP(d.Server))),
		dhcpv4.WithNetmask(network.Mask), dhcpv4.WithLeaseTime(600),
	}
	if d.Router != "" {
		with = append(with, dhcpv4.WithRouter(net.ParseIP(d.Router)))
	}
	if d.DNS != "" {
		with = append(with, dhcpv4.WithDNS(net.ParseIP(d.DNS)))
	}
	if d.NTP != "" {
		with = append(with, dhcpv4.WithOption(dhcpv4.OptNTPServers(net.ParseIP(d.NTP))))
	}
	if d.Portal != "" {
		with = append(with, dhcpv4.WithOption(dhcpv4.OptGeneric(dhcpv4.GenericOptionCode(114), []byte(d.Portal))))
	}
	reply, err := dhcpv4.NewReplyFromRequest(m, with...)
	if err == nil {
		_, _ = conn.WriteTo(reply.ToBytes(), &net.UDPAddr{IP: net.IPv4bcast, Port: 68})
	}
}

// DHCP starts a server at the site's end of a card's cable.
func (c *Card) DHCP(t testing.TB, d DHCP) {
	t.Helper()
	_, _, err := net.ParseCIDR(d.Lease)
	must(t, err)
	var server *server4.Server
	c.site.Do(t, func() error {
		conn, err := server4.NewIPv4UDPConn(c.far, &net.UDPAddr{Port: 67})
		if err != nil {
			return err
		}
		server, err = server4.NewServer(c.far, nil, d.Answer, server4.WithConn(conn))
		return err
	})
	go server.Serve()
	t.Cleanup(func() { server.Close() })
}

// Ask takes an address by DHCP and puts it on the card, as a client does. It
// reports whether it got one.
func (c *Card) Ask(t testing.TB) bool {
	t.Helper()
	client, err := nclient4.New(c.Name, nclient4.WithTimeout(time.Second), nclient4.WithRetry(2))
	must(t, err)
	defer client.Close()
	lease, err := client.Request(t.Context())
	if err != nil {
		return false
	}
	ones, _ := lease.ACK.SubnetMask().Size()
	must(t, netlink.AddrAdd(c.plain, &netlink.Addr{IPNet: &net.IPNet{IP: lease.ACK.YourIPAddr, Mask: net.CIDRMask(ones, 32)}}))
	if routers := lease.ACK.Router(); len(routers) > 0 {
		must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: c.plain.Attrs().Index, Gw: routers[0]}))
	}
	return true
}
