package network

import (
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/stek-edge/stek/installer/preseed"
)

// radio renders a radio and the networks that it may join. The radio gets a name of
// its own, because wpa_supplicant is started by name, and a name that follows the
// plug would change with the plug.
func (c *card) radio(n preseed.Network) []File {
	name := fmt.Sprintf("wifi%d", c.index)
	rename := &ini{}
	rename.section("Match")
	rename.set("Type", "wlan")
	c.which(rename)
	rename.section("Link")
	rename.set("Name", name)
	files := []File{
		rename.file(path.Join(networkdDir, fmt.Sprintf("%02d-stek-%s.link", c.place(), name))),
		{Path: path.Join(unitDir, "sys-subsystem-net-devices-"+name+".device.wants", "wpa_supplicant@"+name+".service"),
			Link: "/usr/lib/systemd/system/wpa_supplicant@.service"},
		c.supplicant(name, n.Country),
	}
	for _, l := range c.links {
		files = append(files, certificates(l.Link)...)
	}
	return append(files, c.joined(name)...)
}

// joined renders what a radio gets from the network that it has joined. Where all its
// networks give the same, the radio has that, whatever the network. Where they do not,
// package joined lays the file of that network before the others of systemd-networkd, whose
// own match by SSID is of no use: it learns the SSID from the kernel, and where
// wpa_supplicant authenticates by itself, as it does with most radios, that of Debian 13 does
// not tell it (seen with 6.12; systemd issue 24585).
func (c *card) joined(name string) []File {
	base := path.Join(networkdDir, "20-stek-"+name+".network")
	if best, alike := c.preferred(); alike {
		return []File{c.addressed(name, best).file(base)}
	}
	var files []File
	for _, l := range byPriority(c.links) {
		f := c.addressed(name, l).file(path.Join(JoinedDir, JoinedFile(name, l.WiFi.SSID)))
		// A network that is named twice, such as with two kinds of login, is one to the radio.
		if !slices.ContainsFunc(files, func(other File) bool { return other.Path == f.Path }) {
			files = append(files, f)
		}
	}
	// Before a network is joined the radio must be switched on. It has its own address in
	// every network, and so before: the kernel makes one only when a card gets a carrier.
	b := &ini{}
	b.section("Match")
	b.set("Name", name)
	link(b, preseed.Link{})
	b.section("Network")
	b.set("LinkLocalAddressing", "ipv6")
	b.set("IPv6AcceptRA", "no")
	return append(files, b.file(base))
}

// addressed is what a radio has in the network of a link.
func (c *card) addressed(name string, l ranked) *ini {
	b := &ini{}
	b.section("Match")
	b.set("Name", name)
	link(b, l.Link)
	addresses(b, l, nil)
	if len(c.links) > 1 {
		// The address of one network is not to be taken along to another.
		b.section("Network")
		b.set("IgnoreCarrierLoss", "no")
	}
	return b
}

// JoinedFile names the file in JoinedDir with what a radio has in a network. The network's
// name is in hexadecimal digits: it may hold anything.
func JoinedFile(radio, ssid string) string {
	return radio + "-" + hex.EncodeToString([]byte(ssid)) + ".network"
}

// preferred is the link that a card is to have if it can, and whether all its links give it
// the same.
func (c *card) preferred() (best ranked, alike bool) {
	best = slices.MinFunc(c.links, func(a, b ranked) int { return a.metric - b.metric })
	want := settings(best, best.metric)
	return best, !slices.ContainsFunc(c.links, func(l ranked) bool { return settings(l, best.metric) != want })
}

// settings is what a link gives its card, with a metric.
func settings(l ranked, metric int) string {
	b := &ini{}
	l.metric = metric
	link(b, l.Link)
	addresses(b, l, nil)
	return b.String()
}

// supplicant renders wpa_supplicant.conf(5) of one radio. A higher priority is
// preferred there.
func (c *card) supplicant(name, country string) File {
	var b strings.Builder
	b.WriteString(header)
	b.WriteString("ctrl_interface=/run/wpa_supplicant\n")
	if country != "" {
		b.WriteString("country=" + country + "\n")
	}
	b.WriteString("sae_pwe=2\n") // both ways of deriving the element of WPA3 (IEEE 802.11, 12.4.4)
	links := byPriority(c.links)
	for i, l := range links {
		network(&b, l.Link, len(links)-i, i > 0)
	}
	return File{Path: path.Join(wpaDir, "wpa_supplicant-"+name+".conf"), Mode: 0o600, Data: []byte(b.String())}
}

// lookAround has wpa_supplicant scan every 30 seconds while a network is joined,
// whatever its signal is. It takes the preferred network of those that a scan has
// found, and without this scans only while none is joined. The scan asks for the name of
// the joined network alone and listens for others, so that one that hides its name is
// not found by it.
const lookAround = `"simple:30"`

// network renders one network. spare is one that is left when a preferred one is in
// reach.
func network(b *strings.Builder, l preseed.Link, priority int, spare bool) {
	w := l.WiFi
	set := func(key string, value any) { fmt.Fprintf(b, "\t%s=%v\n", key, value) }
	b.WriteString("network={\n")
	set("ssid", hex.EncodeToString([]byte(w.SSID))) // bytes: a name may hold anything
	if w.Hidden {
		set("scan_ssid", 1)
	}
	set("priority", priority)
	if spare {
		set("bgscan", lookAround)
	}
	switch w.Security {
	case preseed.WiFiOpen:
		set("key_mgmt", "NONE")
	case preseed.WiFiWPA2:
		set("proto", "RSN")
		if key := w.PSK.Reveal(); len(key) == 64 { // derived already, which WPA3 cannot use
			set("key_mgmt", "WPA-PSK WPA-PSK-SHA256")
			set("psk", key)
		} else {
			set("key_mgmt", "WPA-PSK WPA-PSK-SHA256 SAE")
			set("psk", quoteWPA(key))
		}
		set("ieee80211w", 1)
	case preseed.WiFiWPA3:
		set("proto", "RSN")
		set("key_mgmt", "SAE")
		set("sae_password", quoteWPA(w.PSK.Reveal()))
		set("ieee80211w", 2)
	case preseed.WiFiEnterprise:
		set("proto", "RSN")
		set("key_mgmt", "WPA-EAP WPA-EAP-SHA256")
		set("ieee80211w", 1)
		login(set, l)
	}
	b.WriteString("}\n")
}

func login(set func(string, any), l preseed.Link) {
	e := l.WiFi.EAP
	set("eap", strings.ToUpper(string(e.Method)))
	set("identity", quoteWPA(e.Identity))
	if e.AnonymousIdentity != "" {
		set("anonymous_identity", quoteWPA(e.AnonymousIdentity))
	}
	set("ca_cert", quoteWPA(certificatePath(l, "ca")))
	if e.ServerName != "" {
		set("domain_suffix_match", quoteWPA(e.ServerName))
	}
	if e.Method == preseed.EAPTLS {
		set("client_cert", quoteWPA(certificatePath(l, "cert")))
		set("private_key", quoteWPA(certificatePath(l, "key")))
		return
	}
	set("password", quoteWPA(e.Password.Reveal()))
	set("phase2", quoteWPA("auth=MSCHAPV2"))
}

// quoteWPA writes a text as wpa_supplicant reads it: between the first and the last
// quotation mark of the line nothing has a meaning. What is not printable is written
// with escapes, which the letter P announces.
func quoteWPA(text string) string {
	plain := true
	for i := range len(text) {
		plain = plain && text[i] >= 0x20 && text[i] <= 0x7e
	}
	if plain {
		return `"` + text + `"`
	}
	var b strings.Builder
	b.WriteString(`P"`)
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < 0x20 || c > 0x7e:
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func certificatePath(l preseed.Link, what string) string {
	return path.Join(wpaDir, l.Name+"-"+what+".pem")
}

// certificates are what a login to an enterprise network reads.
func certificates(l preseed.Link) []File {
	e := l.WiFi.EAP
	if e == nil {
		return nil
	}
	var files []File
	for _, f := range []struct{ what, pem string }{{"ca", e.CA}, {"cert", e.Certificate}, {"key", e.PrivateKey.Reveal()}} {
		if f.pem != "" {
			files = append(files, File{Path: certificatePath(l, f.what), Mode: 0o600, Data: []byte(strings.TrimSpace(f.pem) + "\n")})
		}
	}
	return files
}
