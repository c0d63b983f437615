package preseed

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// readWGQuick reads a tunnel from the text of a wg0.conf, as wg-quick(8) takes it. It
// holds private keys, so that what it says of a fault names lines and keys, and never
// repeats a value. What would run commands on the box, or change other routes than the
// tunnel's own, is refused and not left out.
func readWGQuick(text string) (*WireGuard, *problem) {
	w := &WireGuard{}
	section := ""
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimSpace(line)
		switch head := strings.ToLower(line); {
		case line == "":
			continue
		case head == "[interface]" && section != "":
			return nil, bad(fmt.Sprintf("line %d: a second [Interface]", i+1), "a wg0.conf begins with one, and has a [Peer] for each other end")
		case head == "[interface]" || head == "[peer]" && section != "":
			if section = head; head == "[peer]" {
				w.Peers = append(w.Peers, Peer{})
			}
			continue
		case section == "":
			return nil, bad(fmt.Sprintf("line %d: this is no wg0.conf, which begins with [Interface]", i+1), "copy the whole file")
		case strings.HasPrefix(line, "["):
			return nil, bad(fmt.Sprintf("line %d: a section that WireGuard does not have", i+1), "a wg0.conf has [Interface] and [Peer]")
		}
		key, value, _ := strings.Cut(line, "=")
		set := wgInterface
		if section == "[peer]" {
			set = wgPeer
		}
		known, ok := set[strings.ToLower(strings.TrimSpace(key))]
		switch {
		case !ok:
			return nil, bad(fmt.Sprintf("line %d: a key that %s does not have", i+1, section), "take the line out")
		case known.read == nil:
			return nil, bad(fmt.Sprintf("line %d: %s is not carried out here", i+1, known.name), "take the line out: "+known.form)
		case !known.read(w, strings.TrimSpace(value)):
			return nil, bad(fmt.Sprintf("line %d: the value of %s cannot be taken", i+1, known.name), known.form)
		}
	}
	switch {
	case !w.Address.IsValid():
		return nil, bad("[Interface] has no Address", "write the address that the box has inside the tunnel")
	case len(w.Peers) == 0:
		return nil, bad("there is no [Peer]", "copy the whole file")
	}
	for i, p := range w.Peers {
		if p.PublicKey == "" || len(p.AllowedIPs) == 0 {
			return nil, bad(fmt.Sprintf("[Peer] number %d lacks PublicKey or AllowedIPs", i+1), "copy the whole file")
		}
	}
	return w, nil
}

// checkWGQuick judges the text of a wg0.conf.
func checkWGQuick(value string) *problem {
	_, p := readWGQuick(value)
	return p
}

// wgKey is one key of a wg0.conf.
type wgKey struct {
	name string
	read func(w *WireGuard, value string) bool // nil: refused
	form string                                // what to do about a value that is not taken
}

const (
	wgKeyForm  = "copy what wg genkey, wg pubkey or wg genpsk printed"
	wgCommand  = "the box runs no commands of it"
	wgOwnRoute = "the box makes a route for each of AllowedIPs, and no other"
)

var wgInterface = map[string]wgKey{
	"privatekey": {"PrivateKey", func(w *WireGuard, v string) bool { return readKey((*string)(&w.PrivateKey), v) }, wgKeyForm},
	"address": {"Address", func(w *WireGuard, v string) bool {
		prefix, ok := readNetwork(v)
		if !ok || w.Address.IsValid() || checkOwnAddress(prefix.String()) != nil {
			return false
		}
		w.Address = prefix
		return true
	}, "write one address, the one by which the cluster is to know this node, such as 10.77.0.7/32"},
	"listenport": {"ListenPort", func(w *WireGuard, v string) bool { return readBetween(&w.ListenPort, v, 0, 65535) }, "write a UDP port"},
	"mtu":        {"MTU", func(w *WireGuard, v string) bool { return readBetween(&w.MTU, v, 1280, 9216) }, "write bytes, 1280 to 9216"},
	"dns": {"DNS", func(w *WireGuard, v string) bool {
		for text := range strings.SplitSeq(v, ",") {
			addr, err := netip.ParseAddr(strings.TrimSpace(text))
			if err != nil || checkAddress(addr.String()) != nil || slices.Contains(w.DNS, addr) {
				return false
			}
			w.DNS = append(w.DNS, addr)
		}
		return true
	}, "write addresses of name servers, and no search domains"},
	"preup": {"PreUp", nil, wgCommand}, "postup": {"PostUp", nil, wgCommand},
	"predown": {"PreDown", nil, wgCommand}, "postdown": {"PostDown", nil, wgCommand},
	"table": {"Table", nil, wgOwnRoute}, "fwmark": {"FwMark", nil, wgOwnRoute},
	"saveconfig": {"SaveConfig", nil, "a change on the box goes by stek network apply"},
}

var wgPeer = map[string]wgKey{
	"publickey":    {"PublicKey", func(w *WireGuard, v string) bool { return readKey(&w.peer().PublicKey, v) }, wgKeyForm},
	"presharedkey": {"PresharedKey", func(w *WireGuard, v string) bool { return readKey((*string)(&w.peer().PresharedKey), v) }, wgKeyForm},
	"allowedips": {"AllowedIPs", func(w *WireGuard, v string) bool {
		for text := range strings.SplitSeq(v, ",") {
			prefix, ok := readNetwork(strings.TrimSpace(text))
			if !ok || checkNetwork(prefix.Masked().String()) != nil {
				return false
			}
			w.peer().AllowedIPs = append(w.peer().AllowedIPs, prefix.Masked())
		}
		return true
	}, "write networks, such as 10.77.0.0/16"},
	"endpoint": {"Endpoint", func(w *WireGuard, v string) bool {
		return checkEndpoint(v) == nil && w.peer().Endpoint.UnmarshalText([]byte(v)) == nil
	}, "write it as vpn.example.org:51820"},
	"persistentkeepalive": {"PersistentKeepalive", func(w *WireGuard, v string) bool {
		return strings.EqualFold(v, "off") || readBetween(&w.peer().Keepalive, v, 0, 65535)
	}, "write seconds, or off"},
}

// peer is the [Peer] that is being read.
func (w *WireGuard) peer() *Peer { return &w.Peers[len(w.Peers)-1] }

// readKey takes a key once.
func readKey(into *string, value string) bool {
	if *into != "" || checkWireGuardKey(value) != nil {
		return false
	}
	*into = value
	return true
}

// readNetwork reads a network; one address is a network too (wg(8), AllowedIPs).
func readNetwork(value string) (netip.Prefix, bool) {
	if addr, err := netip.ParseAddr(value); err == nil && addr.Zone() == "" {
		return netip.PrefixFrom(addr, addr.BitLen()), true
	}
	prefix, err := netip.ParsePrefix(value)
	return prefix, err == nil
}

func readBetween(into *int, value string, least, most int) bool {
	number, err := strconv.Atoi(value)
	if err != nil || number < least || number > most {
		return false
	}
	*into = number
	return true
}

// readConfig puts the tunnel of a wg0.conf where the one of the answer file stands. One
// that is not looked up yet, or was refused, stays as it is.
func (v *VPN) readConfig() {
	if v.WireGuard != nil || v.Config == "" {
		return
	}
	if w, p := readWGQuick(v.Config.Reveal()); p == nil {
		v.WireGuard, v.Config = w, ""
	}
}
