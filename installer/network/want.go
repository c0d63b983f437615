package network

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/network/probe"
	"github.com/stek-edge/stek/installer/preseed"
)

// Want says what the stages of package probe should find: the links with the names
// that the machine's cards have now, the preferred one first. Services are added by
// whoever knows them.
func Want(n preseed.Network, nics []hardware.NIC) (probe.Want, error) {
	w := probe.Want{Offline: n.Offline, TimeServers: n.NTP, FallbackTimeServers: fallbackTimeServers(n)}
	if n.Offline {
		return w, nil
	}
	cards, err := planCards(n, nics)
	if err != nil {
		return w, err
	}
	var links []ranked
	at := map[string][]string{}
	for _, c := range cards {
		for _, l := range c.links {
			links = append(links, l)
			at[l.Name] = c.interfaces(l)
		}
	}
	for _, l := range byPriority(links) {
		for _, name := range at[l.Name] {
			w.Links = append(w.Links, wanted(l.Link, name, len(at[l.Name]) > 1))
		}
	}
	if len(n.Links) == 0 {
		for _, nic := range nics {
			if nic.Type == string(preseed.Ethernet) {
				w.Links = append(w.Links, wanted(preseed.Link{Name: nic.Name}, nic.Name, false))
			}
		}
	}
	if t := n.VPN.WireGuard; t != nil {
		w.Tunnel = &probe.Tunnel{Interface: Tunnel}
		for _, p := range t.Peers {
			if !p.Endpoint.IsZero() {
				w.Tunnel.Endpoints = append(w.Tunnel.Endpoints, p.Endpoint.String())
			}
		}
	}
	if !n.Proxy.IsZero() {
		if w.Proxy, err = wantedProxy(n.Proxy); err != nil {
			return w, err
		}
	}
	return w, nil
}

// remembered is a network as a node keeps it, to test it later.
type remembered struct {
	Network       preseed.Network `json:"network"`
	ProxyPassword string          `json:"proxy-password,omitempty"`
}

// Remember writes down what a network should lead to. Of the secrets it has only
// the proxy's password, which the test needs; only root may read it.
func Remember(n preseed.Network) (json.RawMessage, error) {
	return json.Marshal(remembered{n, n.Proxy.Password.Reveal()})
}

// Recall reads what Remember wrote. Keys of radios and tunnels are not in it.
func Recall(text json.RawMessage) (preseed.Network, error) {
	var r remembered
	if err := json.Unmarshal(text, &r); err != nil {
		return preseed.Network{}, errors.New("what is remembered of the network is damaged")
	}
	r.Network.Proxy.Password = preseed.Secret(r.ProxyPassword)
	return r.Network, nil
}

// interfaces are the names in the kernel of the cards that a link uses.
func (c *card) interfaces(l ranked) []string {
	switch {
	case l.VLAN != 0:
		return []string{l.Name}
	case c.match.Type == preseed.Wireless:
		return []string{fmt.Sprintf("wifi%d", c.index)}
	}
	var names []string
	for _, nic := range c.nics {
		names = append(names, nic.Name)
	}
	return names
}

func wanted(l preseed.Link, name string, several bool) probe.Link {
	w := probe.Link{Name: l.Name, Interface: name, DHCP: l.UsesDHCP(), Addresses: l.Addresses, Gateway: l.Gateways.First(), DNS: l.DNS}
	if several {
		w.Name += " (" + name + ")"
	}
	if l.WiFi != nil {
		w.Network = l.WiFi.SSID
	}
	return w
}

func wantedProxy(p preseed.Proxy) (*probe.Proxy, error) {
	u, err := ProxyURL(p)
	if err != nil {
		return nil, errors.New("network.proxy.url is no URL")
	}
	w := &probe.Proxy{URL: &url.URL{Scheme: u.Scheme, Host: u.Host, User: u.User}}
	if p.CA == "" {
		return w, nil
	}
	if w.Roots, err = x509.SystemCertPool(); err != nil {
		w.Roots = x509.NewCertPool()
	}
	if !w.Roots.AppendCertsFromPEM([]byte(p.CA)) {
		return nil, errors.New("network.proxy.ca holds no certificate")
	}
	return w, nil
}
