//go:build linux

package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
)

// Offer is what one DHCP server would give.
type Offer struct {
	Server  netip.Addr
	Address netip.Prefix
	Router  netip.Addr
	DNS     []netip.Addr
	NTP     []netip.Addr
	Portal  string // URI of RFC 8910, "" when there is none
}

// offers asks for an address as a new client would, and takes none: a DISCOVER is
// never followed by a REQUEST, so the offers lapse by themselves.
func offers(ctx context.Context, name string, window time.Duration) ([]Offer, error) {
	card, err := net.InterfaceByName(name)
	if err != nil {
		return nil, err
	}
	client, err := nclient4.New(name, nclient4.WithTimeout(window), nclient4.WithRetry(1))
	if err != nil {
		return nil, fmt.Errorf("opening the DHCP port on %s: %w", name, err)
	}
	defer client.Close()
	discover, err := dhcpv4.NewDiscovery(card.HardwareAddr,
		dhcpv4.WithOption(dhcpv4.OptMaxMessageSize(1400)),
		dhcpv4.WithRequestedOptions(dhcpv4.OptionSubnetMask, dhcpv4.OptionRouter, dhcpv4.OptionDomainNameServer,
			dhcpv4.OptionNTPServers, optionPortal))
	if err != nil {
		return nil, err
	}
	discover.SetBroadcast() // the card may have no address yet
	var found []Offer
	collect := func(m *dhcpv4.DHCPv4) bool {
		if m.MessageType() == dhcpv4.MessageTypeOffer {
			found = addOffer(found, readOffer(m))
		}
		return false // others may answer as well
	}
	// The second DISCOVER, with the same number, is for a network that loses packets.
	for range 2 {
		half, cancel := context.WithTimeout(ctx, window/2)
		_, err = client.SendAndRead(half, nclient4.DefaultServers, discover, collect)
		cancel()
		var taken *nclient4.ErrTransactionIDInUse
		if errors.As(err, &taken) || ctx.Err() != nil {
			break
		}
	}
	return found, nil
}

// optionPortal is the captive portal's URI (RFC 8910, section 2.1).
const optionPortal = dhcpv4.GenericOptionCode(114)

func readOffer(m *dhcpv4.DHCPv4) Offer {
	o := Offer{Portal: strings.TrimRight(string(m.Options.Get(optionPortal)), "\x00")}
	o.Server = addr(m.ServerIdentifier())
	bits := 32
	if mask := m.SubnetMask(); len(mask) == 4 {
		bits, _ = mask.Size()
	}
	if a := addr(m.YourIPAddr); a.IsValid() {
		o.Address = netip.PrefixFrom(a, bits)
	}
	if r := m.Router(); len(r) > 0 {
		o.Router = addr(r[0])
	}
	for _, ip := range m.DNS() {
		o.DNS = append(o.DNS, addr(ip))
	}
	for _, ip := range m.NTPServers() {
		o.NTP = append(o.NTP, addr(ip))
	}
	return o
}

func addOffer(all []Offer, o Offer) []Offer {
	if slices.ContainsFunc(all, func(x Offer) bool { return x.Server == o.Server && x.Router == o.Router }) {
		return all
	}
	return append(all, o)
}

func addr(ip net.IP) netip.Addr {
	a, ok := netip.AddrFromSlice(ip)
	if !ok {
		return netip.Addr{}
	}
	return a.Unmap()
}

// contradict tells whether servers send clients to different networks. Two servers
// that say the same are a pair that stands in for each other (RFC 2131, section 1.1
// allows any number), and are fine.
func contradict(all []Offer) (string, bool) {
	for i, a := range all {
		for _, b := range all[:i] {
			if a.Address.Masked() != b.Address.Masked() || a.Router != b.Router {
				return fmt.Sprintf("%s offers %s with gateway %s, %s offers %s with gateway %s",
					b.Server, b.Address, word(b.Router), a.Server, a.Address, word(a.Router)), true
			}
		}
	}
	return "", false
}

func word(a netip.Addr) string {
	if !a.IsValid() {
		return "none"
	}
	return a.String()
}
