package network

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/stek-edge/stek/installer/preseed"
)

// physical leaves bridges, tunnels and the ends of containers' cables alone: cards
// have no kind (systemd.network(5), Kind=).
func physical(b *ini, kind preseed.LinkType) {
	b.set("Type", map[preseed.LinkType]string{preseed.Ethernet: "ether", preseed.Wireless: "wlan"}[kind])
	b.set("Kind", "!*")
}

// offlineFile keeps every card switched off.
func offlineFile() File {
	b := &ini{}
	b.section("Match")
	b.set("Type", "ether wlan wwan infiniband")
	b.set("Kind", "!*")
	b.section("Link")
	b.set("ActivationPolicy", "always-down")
	b.set("RequiredForOnline", "no")
	b.section("Network")
	b.set("LinkLocalAddressing", "no")
	b.set("IPv6AcceptRA", "no")
	return b.file(path.Join(networkdDir, "05-stek-offline.network"))
}

// anyCable is for boxes about whose network nothing was said.
func anyCable(f Facts) File {
	b := &ini{}
	b.section("Match")
	physical(b, preseed.Ethernet)
	link(b, preseed.Link{})
	dhcp(b, ranked{metric: preseed.DefaultPriority * 16})
	return b.file(path.Join(networkdDir, "80-stek-cable.network"))
}

// files renders one selection of cards.
func (c *card) files(n preseed.Network, f Facts) []File {
	if c.match.Type == preseed.Wireless {
		return c.radio(n)
	}
	return c.cable()
}

// name begins the names of a card's files, so that narrower matches come first.
func (c *card) name() string {
	return fmt.Sprintf("%02d-stek-%s", c.place(), c.links[0].Name)
}

// which writes which cards are meant. networkd knows no patterns of addresses, so such a
// pattern is the cards of this machine that fit it.
func (c *card) which(b *ini) {
	if mac, exact := c.match.MAC.Exact(); exact {
		b.set("MACAddress", mac)
	} else if c.match.MAC != "" {
		var macs []string
		for _, nic := range c.nics {
			macs = append(macs, nic.MAC)
		}
		b.set("MACAddress", strings.Join(macs, " "))
	}
	b.set("Path", c.match.Path)
	b.set("Driver", c.match.Driver)
}

func (c *card) cable() []File {
	var tagged []ranked
	var plain *ranked
	for i, l := range c.links {
		if l.VLAN != 0 {
			tagged = append(tagged, l)
		} else {
			plain = &c.links[i]
		}
	}
	b := &ini{}
	b.section("Match")
	physical(b, c.match.Type)
	c.which(b)
	if plain != nil {
		link(b, plain.Link)
		addresses(b, *plain, tagged)
	} else {
		link(b, preseed.Link{MTU: largestMTU(tagged)})
		b.section("Network")
		b.set("LinkLocalAddressing", "no")
		b.set("IPv6AcceptRA", "no")
		vlans(b, tagged)
	}
	files := []File{b.file(path.Join(networkdDir, c.name()+".network"))}
	for _, l := range tagged {
		files = append(files, vlan(l)...)
	}
	return files
}

// largestMTU: a card must carry what its VLANs carry.
func largestMTU(tagged []ranked) int {
	most := 0
	for _, l := range tagged {
		most = max(most, l.MTU)
	}
	return most
}

func vlan(l ranked) []File {
	dev, b := &ini{}, &ini{}
	dev.section("NetDev")
	dev.set("Name", l.Name)
	dev.set("Kind", "vlan")
	dev.section("VLAN")
	dev.set("Id", l.VLAN)
	b.section("Match")
	b.set("Name", l.Name)
	link(b, l.Link)
	addresses(b, l, nil)
	return []File{
		dev.file(path.Join(networkdDir, "10-stek-"+l.Name+"-vlan.netdev")),
		b.file(path.Join(networkdDir, "10-stek-"+l.Name+"-vlan.network")),
	}
}

func vlans(b *ini, tagged []ranked) {
	for _, l := range tagged {
		b.set("VLAN", l.Name)
	}
}

// link writes what concerns the card itself. Nothing waits for a network.
func link(b *ini, l preseed.Link) {
	b.section("Link")
	if l.MTU != 0 {
		b.set("MTUBytes", l.MTU)
	}
	b.set("RequiredForOnline", "no")
}

// addresses writes the sections Network, Route and DHCP of one link.
func addresses(b *ini, l ranked, tagged []ranked) {
	if l.UsesDHCP() {
		dhcp(b, l)
	} else {
		b.section("Network")
		// A router that advertises itself must not bring a way out of its own.
		b.set("IPv6AcceptRA", "no")
		b.set("LinkLocalAddressing", "ipv6")
		fixed(b, l)
	}
	if len(tagged) > 0 {
		b.section("Network")
		vlans(b, tagged)
	}
	for _, gateway := range l.Gateways {
		b.section("Route")
		b.set("Gateway", gateway)
		b.set("Metric", l.metric)
	}
}

func fixed(b *ini, l ranked) {
	for _, a := range l.Addresses {
		b.set("Address", a)
	}
	for _, a := range l.DNS {
		b.set("DNS", a)
	}
}

// dhcp asks for addresses by DHCP and by router advertisements. The server learns
// the hardware address and not a DUID, so that the installer and the node are one
// client to it, and a reservation for the card holds.
func dhcp(b *ini, l ranked) {
	b.section("Network")
	b.set("DHCP", "yes")
	b.set("IPv6AcceptRA", "yes")
	b.set("LinkLocalAddressing", "ipv6")
	fixed(b, l)
	b.section("DHCPv4")
	b.set("ClientIdentifier", "mac")
	b.set("RouteMetric", l.metric)
	b.set("UseDomains", "no")
	b.section("IPv6AcceptRA")
	b.set("RouteMetric", l.metric)
	b.set("UseDomains", "no")
}

// resolvedFile: no name server but those of the links, and no questions to the
// neighbours.
func resolvedFile() File {
	b := &ini{}
	b.section("Resolve")
	b.WriteString("FallbackDNS=\n")
	b.set("LLMNR", "no")
	b.set("MulticastDNS", "no")
	return b.file("/etc/systemd/resolved.conf.d/stek.conf")
}

// pool are the time servers that Debian's timesyncd falls back to by itself. They are
// written down, so that what is tested is what the box asks.
var pool = []string{"0.debian.pool.ntp.org", "1.debian.pool.ntp.org", "2.debian.pool.ntp.org", "3.debian.pool.ntp.org"}

// fallbackTimeServers are asked where neither the answers nor a DHCP server name one.
func fallbackTimeServers(n preseed.Network) []string {
	if n.Offline || len(n.NTP) > 0 {
		return nil
	}
	return pool
}

// timesyncFile names the time servers, and none where the box is offline. The clock
// is written down every minute, so that the next start begins no earlier.
func timesyncFile(n preseed.Network) File {
	b := &ini{}
	b.section("Time")
	b.set("NTP", strings.Join(n.NTP, " "))
	b.WriteString("FallbackNTP=" + strings.Join(fallbackTimeServers(n), " ") + "\n")
	b.set("SaveIntervalSec", 60)
	return b.file("/etc/systemd/timesyncd.conf.d/stek.conf")
}

// byPriority returns links, the preferred first.
func byPriority(links []ranked) []ranked {
	sorted := slices.Clone(links)
	slices.SortStableFunc(sorted, func(a, b ranked) int { return a.metric - b.metric })
	return sorted
}
