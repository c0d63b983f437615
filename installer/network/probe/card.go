package probe

import (
	"net/netip"

	"github.com/stek-edge/stek/installer/preseed"
)

// Card is a network card as it is at one moment.
type Card struct {
	Name      string // in the kernel
	MAC       string // aa:bb:cc:dd:ee:ff
	On        bool   // switched on by the system
	Carrier   bool   // a cable, or a joined network, with somebody at the other end
	Addresses []netip.Prefix
}

// Network is a wireless network in reach.
type Network struct {
	SSID     string
	Signal   int // dBm
	Security preseed.WiFiSecurity
}
