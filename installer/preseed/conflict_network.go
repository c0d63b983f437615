package preseed

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// networkConflicts compares the answers about the network with each other.
func networkConflicts(n *Network, add addConflict) {
	if n.Offline {
		for _, part := range []struct {
			key   string
			given bool
		}{{"network.links", len(n.Links) > 0}, {"network.vpn", n.VPN.Given()}, {"network.proxy", !n.Proxy.IsZero()}, {"network.ntp", len(n.NTP) > 0}} {
			if part.given {
				add(part.key, "has no meaning with network.offline: true", "take one of them out", "network.offline")
			}
		}
	}
	type use struct {
		card LinkMatch
		vlan int
	}
	names, uses := map[string]int{}, map[use]int{}
	owners := map[netip.Addr]string{}
	for i, link := range n.Links {
		at := numbered("network.links", i)
		if first, twice := names[link.Name]; twice && link.Name != "" {
			add(at+".name", fmt.Sprintf("%s is the name of %s as well", quote(link.Name), numbered("network.links", first)), "give each link a name of its own")
		} else {
			names[link.Name] = i
		}
		if of := (use{link.Card(), link.VLAN}); link.WiFi == nil {
			if first, twice := uses[of]; twice {
				add(at, fmt.Sprintf("takes the same card as %s", numbered("network.links", first)), "tell them apart by match.mac or match.path, or by vlan", at+".match", at+".vlan")
			} else {
				uses[of] = i
			}
		}
		linkConflicts(at, link, add)
		for j, own := range link.Addresses {
			entry := numbered(at+".addresses", j)
			if owner, twice := owners[own.Addr()]; twice {
				add(entry, fmt.Sprintf("%s is given in %s as well", own.Addr(), owner), "an address belongs to one link")
			}
			owners[own.Addr()] = entry
		}
	}
	if n.Proxy.Password != "" && n.Proxy.Username == "" {
		add("network.proxy.password", "a password without network.proxy.username", "give both, or none")
	}
	if n.VPN.WireGuard != nil && n.VPN.Config != "" {
		add("network.vpn.config", "the tunnel is described twice", "keep config or wireguard", "network.vpn.wireguard")
	}
	if w := n.VPN.WireGuard; w != nil {
		tunnelConflicts(w, n.NTP, add)
		if owner, twice := owners[w.Address.Addr()]; twice {
			add("network.vpn.wireguard.address", fmt.Sprintf("%s is given in %s as well", w.Address.Addr(), owner), "an address belongs to one link")
		}
	}
}

// linkConflicts compares the answers about one link.
func linkConflicts(at string, link Link, add addConflict) {
	if len(link.Addresses) == 0 && link.DHCP != nil && !*link.DHCP {
		add(at+".dhcp", "false, and no addresses are given", "write addresses, or take dhcp out", at+".addresses")
	}
	gatewayConflicts(at, link, add)
	if link.WiFi == nil {
		if link.Match.Type == Wireless {
			add(at+".match.type", "wifi, but the link has no wifi section", "write wifi: {ssid: …, security: …}", at+".wifi")
		}
		return
	}
	if link.Match.Type == Ethernet {
		add(at+".match.type", "ethernet, but the link has a wifi section", "take one of them out", at+".wifi")
	}
	if link.VLAN != 0 {
		add(at+".vlan", "a wireless network has no VLAN of its own here", "take vlan out: the access point decides", at+".wifi")
	}
	wifiConflicts(at+".wifi", link.WiFi, add)
}

// gatewayConflicts compares the gateways of a link with its addresses. One that is
// link-local is reached in any case.
func gatewayConflicts(at string, link Link, add addConflict) {
	conflict := func(message, remedy string) { add(at+".gateway", message, remedy, at+".addresses") }
	given := map[bool]bool{} // by whether it is of IPv4
	for _, gateway := range link.Gateways {
		of := slices.DeleteFunc(slices.Clone(link.Addresses), func(p netip.Prefix) bool { return p.Addr().Is4() != gateway.Is4() })
		within := func(p netip.Prefix) bool { return p.Masked().Contains(gateway) }
		own := func(p netip.Prefix) bool { return p.Addr() == gateway }
		switch {
		case given[gateway.Is4()]:
			conflict(fmt.Sprintf("%s is a second gateway of %s", gateway, family(gateway)), "a link has one of each family: take one of them out")
		case gateway.IsLinkLocalUnicast():
		case len(link.Addresses) == 0:
			conflict("a gateway without addresses; DHCP brings its own", "write addresses, or take the gateway out")
		case len(of) == 0:
			conflict(fmt.Sprintf("%s is a gateway of %s, and the link has no such address", gateway, family(gateway)), "write one, or take the gateway out")
		case slices.ContainsFunc(of, own):
			conflict(fmt.Sprintf("%s is the address of the box itself", gateway), "write the address of the router")
		case !slices.ContainsFunc(of, within):
			conflict(fmt.Sprintf("%s is outside the subnet %s", gateway, oneOf(subnets(of))), "a gateway is reached directly: correct it, or the length of the subnet")
		}
		given[gateway.Is4()] = true
	}
}

func family(a netip.Addr) string {
	if a.Is4() {
		return "IPv4"
	}
	return "IPv6"
}

func subnets(addresses []netip.Prefix) []string {
	var all []string
	for _, p := range addresses {
		all = append(all, p.Masked().String())
	}
	return all
}

// wifiConflicts compares the answers about one wireless network.
func wifiConflicts(at string, w *WiFi, add addConflict) {
	personal := w.Security == WiFiWPA2 || w.Security == WiFiWPA3
	switch {
	case personal && w.PSK == "":
		add(at, fmt.Sprintf("%s needs the password of the network", w.Security), "write psk, best as secret:NAME", at+".security", at+".psk")
	case !personal && w.PSK != "" && w.Security != "":
		add(at+".psk", fmt.Sprintf("a password has no meaning with security: %s", w.Security), "write wpa2 or wpa3, or take psk out", at+".security")
	case w.Security == WiFiWPA3 && hexKey.MatchString(w.PSK.Reveal()):
		add(at+".psk", "wpa3 needs the password itself, not the 64 digits that were derived from it", "write the password", at+".security")
	}
	switch {
	case w.Security == WiFiEnterprise && w.EAP == nil:
		add(at, "enterprise needs a login", "write eap: {method: …, identity: …}", at+".security", at+".eap")
	case w.Security != WiFiEnterprise && w.EAP != nil && w.Security != "":
		add(at+".eap", fmt.Sprintf("a login has no meaning with security: %s", w.Security), "write security: enterprise, or take eap out", at+".security")
	}
	if w.EAP == nil {
		return
	}
	e, at := w.EAP, at+".eap"
	needs := func(given bool, key string) {
		if !given {
			add(at, fmt.Sprintf("the method %s needs %s", e.Method, key), "write it", at+".method", at+"."+key)
		}
	}
	refuses := func(given bool, key string) {
		if given {
			add(at+"."+key, fmt.Sprintf("has no meaning with the method %s", e.Method), "take it out, or use another method", at+".method")
		}
	}
	switch e.Method {
	case EAPTLS:
		needs(e.Certificate != "", "certificate")
		needs(e.PrivateKey != "", "private-key")
		refuses(e.Password != "", "password")
		refuses(e.AnonymousIdentity != "", "anonymous-identity")
	case EAPPEAP, EAPTTLS:
		needs(e.Password != "", "password")
		refuses(e.Certificate != "", "certificate")
		refuses(e.PrivateKey != "", "private-key")
	}
}

// tunnelConflicts compares the answers about the tunnel.
func tunnelConflicts(w *WireGuard, ntp []string, add addConflict) {
	const at = "network.vpn.wireguard"
	if len(w.Peers) == 0 {
		add(at+".peers", "a tunnel without another end", "write at least one peer")
	}
	keys, networks, reached := map[string]int{}, map[netip.Prefix]string{}, w.ListenPort != 0
	for i, peer := range w.Peers {
		entry := numbered(at+".peers", i)
		if first, twice := keys[peer.PublicKey]; twice && peer.PublicKey != "" {
			add(entry+".public-key", fmt.Sprintf("is the key of %s as well", numbered("peers", first)), "each peer has a key of its own")
		}
		keys[peer.PublicKey] = i
		reached = reached || !peer.Endpoint.IsZero()
		for j, network := range peer.AllowedIPs {
			place := numbered(entry+".allowed-ips", j)
			if network.Bits() == 0 {
				add(place, "a tunnel for all traffic is not in this version: it would take the time servers with it, and WireGuard needs the right time before it opens",
					"name the networks behind the tunnel")
			}
			if other, twice := networks[network]; twice {
				add(place, fmt.Sprintf("%s is behind %s already", network, strings.TrimPrefix(other, at+".")), "a network is behind one peer: WireGuard would take it from the other")
			}
			networks[network] = entry
		}
		if peer.Keepalive != 0 && peer.Endpoint.IsZero() {
			add(entry+".keepalive", "keeps up a connection that this box cannot begin", "write endpoint, or take keepalive out", entry+".endpoint")
		}
	}
	if !reached && len(w.Peers) > 0 {
		add(at+".peers", "no peer has an endpoint, and listen-port is not given: nobody could begin",
			"write the endpoint of a peer, or listen-port", at+".listen-port")
	}
	// WireGuard refuses a clock that went backwards, and then the time behind the
	// tunnel is out of reach for ever.
	inside := func(server string) bool {
		addr, err := netip.ParseAddr(server)
		return err == nil && slices.ContainsFunc(w.Peers, func(p Peer) bool {
			return slices.ContainsFunc(p.AllowedIPs, func(n netip.Prefix) bool { return n.Bits() > 0 && n.Contains(addr) })
		})
	}
	if len(ntp) > 0 && !slices.ContainsFunc(ntp, func(server string) bool { return !inside(server) }) {
		add("network.ntp", "every time server is behind the tunnel, which does not open while the clock is wrong",
			"name one that is reached without it", at+".peers")
	}
}
