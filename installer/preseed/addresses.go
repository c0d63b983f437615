package preseed

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// Error makes a problem an error of those who parse a value without a file.
func (p *problem) Error() string { return p.message }

// checkAddress judges an IP address of another host.
func checkAddress(value string) *problem {
	addr, err := netip.ParseAddr(value)
	switch {
	case err != nil && strings.Contains(value, "/"):
		return bad(quote(value)+" is no IP address", "leave out the / and what follows")
	case err != nil:
		return bad(quote(value)+" is no IP address", "write it as 192.168.7.1 or fd00::1")
	case addr.Zone() != "":
		return bad("an address with a zone (%"+clip(addr.Zone())+") names an interface of one machine", "leave out the % and what follows")
	case addr.IsUnspecified():
		return bad(quote(value)+" stands for no host", "write the host's own address")
	case addr.IsMulticast():
		return bad(quote(value)+" is a multicast address", "write the host's own address")
	}
	return nil
}

// checkOwnAddress judges an address of the box with the length of its subnet.
func checkOwnAddress(value string) *problem {
	prefix, err := netip.ParsePrefix(value)
	if err != nil {
		if addr, only := netip.ParseAddr(value); only == nil && !strings.Contains(value, "/") {
			usual := 24
			if addr.Is6() {
				usual = 64
			}
			return bad("the length of the subnet is missing", fmt.Sprintf("for example %s/%d", addr, usual))
		}
		return bad(quote(value)+" is no address with the length of its subnet", "write it as 192.168.7.20/24 or fd00::20/64")
	}
	if p := checkAddress(prefix.Addr().String()); p != nil {
		return p
	}
	switch bits := prefix.Addr().BitLen() - prefix.Bits(); {
	case prefix.Addr().IsLoopback():
		return bad("a loopback address is on every machine already", "give the address of the box on this network")
	case prefix.Bits() == 0:
		return bad("a subnet of length 0 holds every address there is", "write the length of the subnet, such as /24")
	case bits >= 2 && prefix == prefix.Masked():
		return bad(fmt.Sprintf("%s is the network itself, not an address in it", prefix), fmt.Sprintf("give the box an address of its own, such as %s/%d", prefix.Addr().Next(), prefix.Bits()))
	case bits >= 2 && prefix.Addr().Is4() && prefix.Addr() == broadcast(prefix):
		return bad(fmt.Sprintf("%s is the broadcast address of its subnet", prefix.Addr()), "give the box an address of its own")
	}
	return nil
}

// broadcast returns the last address of an IPv4 subnet.
func broadcast(prefix netip.Prefix) netip.Addr {
	last := prefix.Masked().Addr().As4()
	for bit := prefix.Bits(); bit < 32; bit++ {
		last[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(last)
}

// checkNetwork judges a network, such as one behind a tunnel.
func checkNetwork(value string) *problem {
	prefix, err := netip.ParsePrefix(value)
	if err != nil {
		if addr, only := netip.ParseAddr(value); only == nil {
			return bad("the length of the network is missing", fmt.Sprintf("for one address write %s/%d", addr, addr.BitLen()))
		}
		return bad(quote(value)+" is no network", "write it as 10.77.0.0/16 or fd00::/48")
	}
	if prefix != prefix.Masked() {
		return bad(fmt.Sprintf("%s is an address in a network, not the network", prefix), fmt.Sprintf("did you mean %s?", prefix.Masked()))
	}
	return nil
}

// checkMACPattern judges a MAC address or the beginning of one (MACPattern).
func checkMACPattern(value string) *problem {
	const form = "write it as dc:a6:32:01:02:03, or dc:a6:32:* for all of a maker"
	plain := strings.ReplaceAll(strings.ToLower(value), "-", ":")
	octets := strings.Split(plain, ":")
	open := octets[len(octets)-1] == "*"
	if open {
		octets = octets[:len(octets)-1]
	}
	switch {
	case plain == "*":
		return bad("this fits every card", "take the line out, or say more")
	case open && len(octets) > 5, !open && len(octets) != 6:
		return bad(quote(value)+" is no MAC address", form)
	}
	for _, octet := range octets {
		if len(octet) != 2 || strings.Trim(octet, "0123456789abcdef") != "" {
			return bad(quote(value)+" is no MAC address", form)
		}
	}
	first, _ := strconv.ParseUint(octets[0], 16, 8)
	if first&1 == 1 {
		return bad(quote(value)+" is a group address, which no card has (IEEE 802, the lowest bit of the first octet)", "copy the card's own address")
	}
	return nil
}

// cardWord is what paths and drivers of cards are made of. systemd-networkd reads both as
// patterns with blanks between them, so that no sign of those may be in one.
var cardWord = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z:._@+-]*$`)

// checkCardPath judges where a card is plugged in.
func checkCardPath(value string) *problem {
	const form = "write it as pci-0000:02:00.0 or pci-0000:00:14.0-usb-0:2:1.0"
	if !cardWord.MatchString(value) {
		return bad(quote(value)+" is no path of a card", form)
	}
	if !strings.Contains(value, "-") {
		return bad(quote(value)+" does not say which bus it is on", form)
	}
	return nil
}

// checkDriver judges the name of a card's driver.
func checkDriver(value string) *problem {
	if !cardWord.MatchString(value) {
		return bad(quote(value)+" is no name of a driver", "write it as igc or virtio_net")
	}
	return nil
}

// checkMAC judges one whole MAC address.
func checkMAC(value string) *problem {
	if strings.HasSuffix(value, "*") {
		return bad("a pattern fits more than one card", "write the whole address")
	}
	return checkMACPattern(value)
}

// UnmarshalText reads what String writes.
func (e *Endpoint) UnmarshalText(text []byte) error {
	host, port, err := net.SplitHostPort(string(text))
	if err != nil {
		return errors.New("an endpoint is a host and a port, such as vpn.example.org:51820")
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return errors.New("a port is a number from 1 to 65535")
	}
	*e = Endpoint{host, uint16(number)}
	return nil
}

// MarshalText writes the endpoint as host:port.
func (e Endpoint) MarshalText() ([]byte, error) {
	if e.IsZero() {
		return nil, nil
	}
	return []byte(net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port)))), nil
}

// checkEndpoint judges a host with a UDP port.
func checkEndpoint(value string) *problem {
	const form = "write it as vpn.example.org:51820"
	host, port, err := net.SplitHostPort(value)
	if err != nil {
		if strings.Contains(value, "://") {
			return bad("an endpoint is no URL", form)
		}
		if strings.Count(value, ":") > 1 {
			return bad("an IPv6 address with a port needs brackets", "write it as [2001:db8::1]:51820")
		}
		return bad(quote(value)+" has no port", form)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || port[0] == '0' {
		return bad(quote(port)+" is no port (1 to 65535)", form)
	}
	return checkHost(host)
}

// checkHost judges a host name or an IP address.
func checkHost(value string) *problem {
	if _, err := netip.ParseAddr(value); err == nil {
		return checkAddress(value)
	}
	if strings.Contains(value, "/") {
		return bad(quote(value)+" is no host", "write a host name or an IP address only")
	}
	return judgeDNSName(strings.ToLower(value))
}

// judgeDNSName holds for names of other hosts, which may be longer than ours (RFC
// 1123, section 2.1).
func judgeDNSName(name string) *problem {
	if len(name) > 253 {
		return bad("a host name has 253 characters at most", "shorten it")
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || !isLabel(label) || label[0] == '-' || label[len(label)-1] == '-' {
			return bad(quote(name)+" is no host name", "use letters, digits, dashes and dots, as in time.example.org")
		}
	}
	if strings.Trim(name, "0123456789.") == "" {
		return bad(quote(name)+" is neither a host name nor an IP address", "an IPv4 address has four numbers from 0 to 255")
	}
	return nil
}

// checkNoProxy judges one entry of network.proxy.no-proxy.
func checkNoProxy(value string) *problem {
	if strings.Contains(value, "/") {
		return checkNetwork(value)
	}
	if strings.HasPrefix(value, "*") {
		return bad("a pattern is not understood by all programs", "write .example.org for all hosts of a domain")
	}
	return checkHost(strings.TrimPrefix(value, "."))
}

// checkProxyURL judges the address of an HTTP proxy. It may hold a password by
// mistake, so it is never repeated.
func checkProxyURL(value string) *problem {
	return judgeURL(value, "http://proxy:3128", "http", "https")
}

// judgeURL judges a URL that is a server's address and nothing more. It is never
// repeated.
func judgeURL(value, example string, schemes ...string) *problem {
	form := "write it as " + example
	u, err := url.Parse(value)
	switch {
	case err != nil:
		return bad("this is no URL", form)
	case u.User != nil:
		return bad("the URL holds a user or a password, which would show in logs", "take it out of the URL; a password has a key of its own")
	case u.Host == "" || u.Hostname() == "":
		return bad("the URL names no host", form)
	case !contains(schemes, u.Scheme):
		return bad("the URL does not begin with "+oneOf(withSlashes(schemes)), form)
	case u.Path != "" && u.Path != "/", u.RawQuery != "", u.Fragment != "":
		return bad("the URL holds more than a host and a port", form)
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return bad(quote(port)+" is no port (1 to 65535)", form)
		}
	}
	return checkHost(u.Hostname())
}

func contains(words []string, word string) bool {
	for _, w := range words {
		if w == word {
			return true
		}
	}
	return false
}

func withSlashes(schemes []string) []string {
	all := make([]string, len(schemes))
	for i, scheme := range schemes {
		all[i] = scheme + "://"
	}
	return all
}

// checkLinkName judges the name of a link, which is one for a Linux interface too
// (IFNAMSIZ is 16, with the zero at the end).
func checkLinkName(value string) *problem {
	const form = "use small letters, digits and inner dashes, 15 at most, as in uplink"
	if len(value) > 15 || !isLabel(value) || value[0] == '-' || value[len(value)-1] == '-' {
		return bad(quote(value)+" is no name for a link", form)
	}
	if value == "lo" || value == "all" || value == "default" {
		return bad(quote(value)+" has a meaning of its own in Linux", "choose another")
	}
	return nil
}

// checkSSID judges the name of a wireless network (IEEE 802.11, section 9.4.2.2).
func checkSSID(value string) *problem {
	if len(value) > 32 {
		return bad(fmt.Sprintf("the name of a wireless network has 32 bytes at most, this one %d", len(value)), "copy it from the access point")
	}
	return nil
}

// hexKey is a pre-shared key that was derived already.
var hexKey = regexp.MustCompile(`^[0-9A-Fa-f]{64}$`)

// checkPSK judges the password of a wireless network (IEEE 802.11, annex J.4)
// without ever repeating it.
func checkPSK(value string) *problem {
	if hexKey.MatchString(value) {
		return nil
	}
	if len(value) < 8 || len(value) > 63 {
		return bad("the password of a wireless network has 8 to 63 characters", "copy it from the access point")
	}
	for i := range len(value) {
		if value[i] < 0x20 || value[i] > 0x7e {
			return bad("the password of a wireless network has ASCII characters only", "change it at the access point")
		}
	}
	return nil
}

// checkWireGuardKey judges a key of WireGuard without ever repeating it.
func checkWireGuardKey(value string) *problem {
	key, err := base64.StdEncoding.Strict().DecodeString(value)
	switch {
	case err != nil || len(key) != 32:
		return bad("this is no WireGuard key (32 bytes in base64: 44 characters, the last is =)", "copy what wg genkey or wg pubkey printed")
	case string(key) == strings.Repeat("\x00", 32):
		return bad("a WireGuard key of zeros protects nothing", "copy what wg genkey or wg pubkey printed")
	}
	return nil
}

// checkPrivateKey judges the box's own key of WireGuard.
func checkPrivateKey(value string) *problem {
	if value == GenerateKey {
		return nil
	}
	if p := checkWireGuardKey(value); p != nil {
		p.remedy = "write generate, so that the box makes its own, or copy what wg genkey printed"
		return p
	}
	return nil
}

// checkCountry judges a country code as regulatory domains have it.
func checkCountry(value string) *problem {
	const form = "write the code of two capitals, such as NL"
	if len(value) != 2 || strings.Trim(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return bad(quote(value)+" is no country code", form)
	}
	if value == "UK" {
		return bad("no country has the code \"UK\"", "did you mean GB?")
	}
	if !isCountry(value) {
		return bad("no country has the code "+quote(value), form)
	}
	return nil
}
