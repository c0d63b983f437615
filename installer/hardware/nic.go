package hardware

import (
	"cmp"
	"path/filepath"
	"regexp"
	"strings"
)

// nics lists the network cards: what has a device below it. Bridges, tunnels and
// the loopback have none.
func (r Roots) nics() []NIC {
	out := []NIC{}
	for _, name := range names(r.Sys, "class/net") {
		dir := filepath.Join(r.Sys, "class/net", name)
		if !exists(dir, "device") {
			continue
		}
		// systemd-networkd matches by what udev knows: that comes first.
		record := "n" + word(dir, "ifindex")
		n := NIC{Name: name, MAC: word(dir, "address"), Type: "other",
			Driver: cmp.Or(r.udev(record, "ID_NET_DRIVER"), driver(dir)),
			Path:   cmp.Or(r.udev(record, "ID_PATH"), busPath(r.devicePath("class/net", name, "device")))}
		if strings.Trim(n.MAC, "0:") == "" {
			n.MAC = ""
		}
		switch {
		case exists(dir, "phy80211"), exists(dir, "wireless"):
			n.Type, n.Blocked = "wifi", r.Blocked(name)
		case number(dir, "type") == 1: // ARPHRD_ETHER
			n.Type = "ethernet"
		}
		out = append(out, n)
	}
	return out
}

// What keeps a radio from transmitting, by the names of the kernel
// (Documentation/ABI/stable/sysfs-class-rfkill).
const (
	BlockedHard = "hard" // a switch, or the firmware: no program can overrule it
	BlockedSoft = "soft" // a program, or a key
)

// Blocked says what keeps the radio with that name from transmitting: "" is nothing.
func (r Roots) Blocked(radio string) string {
	phy := filepath.Join(r.Sys, "class/net", radio, "phy80211")
	for _, how := range []string{BlockedHard, BlockedSoft} {
		for _, name := range names(phy) {
			if strings.HasPrefix(name, "rfkill") && number(phy, name, how) == 1 {
				return how
			}
		}
	}
	return ""
}

var (
	pciAddress   = regexp.MustCompile(`^[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]$`)
	usbInterface = regexp.MustCompile(`^\d+-([\d.]+:\d+\.\d+)$`)
)

// busPath names where a card is plugged in, the way udev's ID_PATH does:
// pci-0000:00:14.0-usb-0:1.2:1.0.
func busPath(device string) string {
	parts := strings.Split(device, "/")
	base, usb := "", ""
	for i, p := range parts {
		switch {
		case pciAddress.MatchString(p):
			base = "pci-" + p
		case i > 0 && parts[i-1] == "platform" && base == "":
			base = "platform-" + p
		case usbInterface.MatchString(p):
			usb = "-usb-0:" + usbInterface.FindStringSubmatch(p)[1]
		}
	}
	if base == "" {
		return ""
	}
	return base + usb
}

// driver names the kernel driver of a class device.
func driver(dir string) string {
	link, err := filepath.EvalSymlinks(filepath.Join(dir, "device/driver"))
	if err != nil {
		return ""
	}
	return filepath.Base(link)
}
