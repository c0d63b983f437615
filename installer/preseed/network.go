package preseed

import (
	"encoding/json"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// Network is how the box reaches others. Without links and without Offline every
// cable that is plugged in asks for addresses by DHCP.
type Network struct {
	Links []Link   `yaml:"links" json:"links,omitempty"`
	VPN   VPN      `yaml:"vpn" json:"vpn,omitzero"`
	Proxy Proxy    `yaml:"proxy" json:"proxy,omitzero"`
	NTP   []string `yaml:"ntp" json:"ntp,omitempty"` // host names or addresses; the first that answers is used
	// Country is the ISO 3166-1 code of the place the box stands at. The kernel has
	// one regulatory domain for all radios, so it is no matter of a single link.
	Country string `yaml:"country" json:"country,omitempty"`
	Offline bool   `yaml:"offline" json:"offline"` // no network at all; then nothing above is given
}

// Link is one way out of the box: a card, a VLAN on a card, or a wireless network.
// Several links may use one card: VLANs of one cable, or wireless networks of which
// the preferred one in reach is joined.
type Link struct {
	// Name is what reports call the link. It fits a Linux interface name (letters,
	// digits and inner dashes, 15 at most), so that a VLAN can carry it.
	Name      string         `yaml:"name" json:"name"`
	Match     LinkMatch      `yaml:"match" json:"match,omitzero"`
	DHCP      *bool          `yaml:"dhcp" json:"dhcp,omitempty"`           // see UsesDHCP
	Addresses []netip.Prefix `yaml:"addresses" json:"addresses,omitempty"` // own addresses, each with the length of its subnet
	Gateways  Gateways       `yaml:"gateway" json:"gateway,omitempty"`     // inside one of the subnets, or link-local; one of each family
	DNS       []netip.Addr   `yaml:"dns" json:"dns,omitempty"`             // beside those that DHCP names
	VLAN      int            `yaml:"vlan" json:"vlan,omitempty"`           // 1 to 4094; 0: untagged
	MTU       int            `yaml:"mtu" json:"mtu,omitempty"`             // bytes; 0: the kernel's
	Priority  int            `yaml:"priority" json:"priority,omitempty"`   // 1 to 1000, the lower is preferred; 0: not said, see DefaultPriority
	WiFi      *WiFi          `yaml:"wifi" json:"wifi,omitempty"`           // nil: a cable
}

// Gateways are routers to other networks. JSON has a single one as the file does: as a text.
type Gateways []netip.Addr

// First is the one of IPv4, and without that any; the zero address when there is none.
func (g Gateways) First() netip.Addr {
	var first netip.Addr
	for _, a := range g {
		if !first.IsValid() || a.Is4() {
			first = a
		}
	}
	return first
}

// MarshalJSON writes a single address as a text.
func (g Gateways) MarshalJSON() ([]byte, error) {
	if len(g) == 1 {
		return json.Marshal(g[0])
	}
	return json.Marshal([]netip.Addr(g))
}

// UnmarshalJSON reads what MarshalJSON writes.
func (g *Gateways) UnmarshalJSON(text []byte) error {
	var one netip.Addr
	if err := json.Unmarshal(text, &one); err == nil && one.IsValid() {
		*g = Gateways{one}
		return nil
	}
	return json.Unmarshal(text, (*[]netip.Addr)(g))
}

// LinkMatch selects the card of a link. Every given field must fit; none given is
// any card of the link's kind.
type LinkMatch struct {
	Type LinkType   `yaml:"type" json:"type,omitempty"` // see Link.Type
	MAC  MACPattern `yaml:"mac" json:"mac,omitempty"`
	// Path is where the card is plugged in, as udev's ID_PATH has it, so that a card that
	// replaces another one there is the link's too: pci-0000:02:00.0.
	Path   string `yaml:"path" json:"path,omitempty"`
	Driver string `yaml:"driver" json:"driver,omitempty"` // the kernel's driver of the card, as udev's ID_NET_DRIVER has it
}

// LinkType is a kind of card.
type LinkType string

// The kinds of cards.
const (
	Ethernet LinkType = "ethernet"
	Wireless LinkType = "wifi"
)

// DefaultPriority is the Priority of links that name none. Among equals the one
// that stands first in the file is preferred.
const DefaultPriority = 100

// UsesDHCP tells whether addresses are asked for: as the file says, and when it
// does not, then only if it gives no addresses.
func (l Link) UsesDHCP() bool {
	if l.DHCP != nil {
		return *l.DHCP
	}
	return len(l.Addresses) == 0
}

// Type is the kind of card that the link needs.
func (l Link) Type() LinkType {
	switch {
	case l.WiFi != nil:
		return Wireless
	case l.Match.Type != "":
		return l.Match.Type
	}
	return Ethernet
}

// Metric is the link's priority with the default filled in.
func (l Link) Metric() int {
	if l.Priority == 0 {
		return DefaultPriority
	}
	return l.Priority
}

// Card is which card the link needs: its match, with the kind filled in.
func (l Link) Card() LinkMatch {
	match := l.Match
	match.Type = l.Type()
	return match
}

// Card is what a machine tells of one of its cards.
type Card struct {
	Type         LinkType
	MAC          net.HardwareAddr
	Path, Driver string
}

// Fits tells whether a card is one of those that are meant.
func (m LinkMatch) Fits(c Card) bool {
	return (m.Type == "" || m.Type == c.Type) && (m.MAC == "" || m.MAC.Match(c.MAC)) &&
		(m.Path == "" || m.Path == c.Path) && (m.Driver == "" || m.Driver == c.Driver)
}

// String lists what a card must have besides its kind; "" is any card.
func (m LinkMatch) String() string {
	return strings.Join(slices.DeleteFunc([]string{string(m.MAC), m.Path, m.Driver}, func(w string) bool { return w == "" }), ", ")
}

// MACPattern is a MAC address, or the beginning of one: whole octets and then *.
// It is kept in small letters with colons: dc:a6:32:01:02:03, dc:a6:32:*.
type MACPattern string

// Match reports whether an address fits.
func (p MACPattern) Match(mac net.HardwareAddr) bool {
	if begin, open := strings.CutSuffix(string(p), "*"); open {
		return strings.HasPrefix(mac.String(), begin)
	}
	return p != "" && string(p) == mac.String()
}

// Exact returns the address when the pattern is a whole one.
func (p MACPattern) Exact() (net.HardwareAddr, bool) {
	mac, err := net.ParseMAC(string(p))
	return mac, err == nil
}

// UnmarshalText takes capitals, and dashes instead of colons, too.
func (p *MACPattern) UnmarshalText(text []byte) error {
	*p = MACPattern(strings.ReplaceAll(strings.ToLower(string(text)), "-", ":"))
	if problem := checkMACPattern(string(*p)); problem != nil {
		return problem
	}
	return nil
}

// WiFi is a wireless network to join.
type WiFi struct {
	SSID     string       `yaml:"ssid" json:"ssid"`               // 1 to 32 bytes
	Hidden   bool         `yaml:"hidden" json:"hidden,omitempty"` // the network does not announce itself and is asked for by name
	Security WiFiSecurity `yaml:"security" json:"security"`
	PSK      Secret       `yaml:"psk" json:"psk,omitempty"` // with wpa2 and wpa3: 8 to 63 printable ASCII characters, or 64 hexadecimal digits (wpa2)
	EAP      *EAP         `yaml:"eap" json:"eap,omitempty"` // with enterprise
}

// WiFiSecurity is how a wireless network is protected.
type WiFiSecurity string

// The protections of wireless networks.
const (
	WiFiOpen       WiFiSecurity = "open"
	WiFiWPA2       WiFiSecurity = "wpa2"       // WPA2-Personal, and WPA3-Personal where the network offers both
	WiFiWPA3       WiFiSecurity = "wpa3"       // WPA3-Personal (SAE) and nothing weaker
	WiFiEnterprise WiFiSecurity = "enterprise" // WPA2 or WPA3-Enterprise (802.1X)
)

// EAP is a login to an enterprise network (IEEE 802.1X).
type EAP struct {
	Method            EAPMethod `yaml:"method" json:"method"`
	Identity          string    `yaml:"identity" json:"identity"`
	AnonymousIdentity string    `yaml:"anonymous-identity" json:"anonymous-identity,omitempty"` // shown outside the tunnel; peap and ttls
	Password          Secret    `yaml:"password" json:"password,omitempty"`                     // peap and ttls (inner method MSCHAPv2)
	CA                string    `yaml:"ca" json:"ca"`                                           // PEM; who vouches for the network's server
	ServerName        string    `yaml:"server-name" json:"server-name,omitempty"`               // DNS name, or its end, in the server's certificate
	Certificate       string    `yaml:"certificate" json:"certificate,omitempty"`               // PEM; tls
	PrivateKey        Secret    `yaml:"private-key" json:"private-key,omitempty"`               // PEM, not encrypted; tls
}

// EAPMethod is a way to log in to an enterprise network.
type EAPMethod string

// The ways to log in to an enterprise network.
const (
	EAPPEAP EAPMethod = "peap" // PEAPv0 with MSCHAPv2
	EAPTTLS EAPMethod = "ttls" // EAP-TTLS with MSCHAPv2
	EAPTLS  EAPMethod = "tls"  // a certificate of the box's own
)

// VPN is the tunnel to head office.
type VPN struct {
	WireGuard *WireGuard `yaml:"wireguard" json:"wireguard,omitempty"`
	Config    Secret     `yaml:"config" json:"config,omitempty"` // a wg0.conf; Defaults makes it the WireGuard section
}

// Given tells whether there is a tunnel.
func (v VPN) Given() bool { return v.WireGuard != nil || v.Config != "" }

// WireGuard is a WireGuard tunnel, used over whichever link is up.
type WireGuard struct {
	Address    netip.Prefix `yaml:"address" json:"address"`                   // of the box inside the tunnel
	PrivateKey Secret       `yaml:"private-key" json:"private-key,omitempty"` // base64 of 32 bytes, or GenerateKey
	ListenPort int          `yaml:"listen-port" json:"listen-port,omitempty"` // UDP; 0: any
	MTU        int          `yaml:"mtu" json:"mtu,omitempty"`                 // bytes; 0: the kernel's (1420)
	DNS        []netip.Addr `yaml:"dns" json:"dns,omitempty"`                 // name servers behind the tunnel
	Peers      []Peer       `yaml:"peers" json:"peers"`
}

// GenerateKey as a PrivateKey says that the box makes its own key, on its state
// volume. The public half is shown when the installation ends, and in the report.
const GenerateKey = "generate"

// Generates tells whether the box makes its own private key.
func (w WireGuard) Generates() bool { return w.PrivateKey.Reveal() == GenerateKey }

// Peer is the other end of a tunnel.
type Peer struct {
	PublicKey    string         `yaml:"public-key" json:"public-key"`                 // base64 of 32 bytes
	PresharedKey Secret         `yaml:"preshared-key" json:"preshared-key,omitempty"` // base64 of 32 bytes
	Endpoint     Endpoint       `yaml:"endpoint" json:"endpoint,omitzero"`            // zero: the peer comes to us
	AllowedIPs   []netip.Prefix `yaml:"allowed-ips" json:"allowed-ips"`               // networks behind the peer
	Keepalive    int            `yaml:"keepalive" json:"keepalive,omitempty"`         // seconds, 1 to 65535; 0: none
}

// Endpoint is a host and a UDP port.
type Endpoint struct {
	Host string // name, IPv4 address, or IPv6 address without brackets
	Port uint16
}

// IsZero tells whether no endpoint is given.
func (e Endpoint) IsZero() bool { return e == Endpoint{} }

// String writes the endpoint as host:port, an IPv6 address in brackets.
func (e Endpoint) String() string {
	text, _ := e.MarshalText()
	return string(text)
}

// Proxy is the HTTP proxy through which the site reaches the internet.
type Proxy struct {
	URL      string   `yaml:"url" json:"url,omitempty"` // http:// or https://, without user and password
	Username string   `yaml:"username" json:"username,omitempty"`
	Password Secret   `yaml:"password" json:"password,omitempty"`
	NoProxy  []string `yaml:"no-proxy" json:"no-proxy,omitempty"` // host names, .domains, addresses and networks
	CA       string   `yaml:"ca" json:"ca,omitempty"`             // PEM; of a proxy that opens TLS
}

// IsZero tells whether no proxy is given.
func (p Proxy) IsZero() bool {
	return p.URL == "" && p.Username == "" && p.Password == "" && len(p.NoProxy) == 0 && p.CA == ""
}

// LinksByPriority returns the links, the preferred first.
func (n Network) LinksByPriority() []Link {
	links := slices.Clone(n.Links)
	slices.SortStableFunc(links, func(a, b Link) int { return a.Metric() - b.Metric() })
	return links
}
