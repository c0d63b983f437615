package network

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/preseed"
)

// Facts are what the answer file cannot know.
type Facts struct {
	Node      string         // host name
	NICs      []hardware.NIC // the machine's cards; nil when they are not known
	TunnelKey preseed.Secret // private key for a tunnel whose key the box makes: see NewKey
}

// CardError tells that a link and the machine's cards do not fit together.
type CardError struct {
	Link    string
	Problem string
	Remedy  string
}

func (e *CardError) Error() string {
	return fmt.Sprintf("network link %s: %s; %s", e.Link, e.Problem, e.Remedy)
}

// Render returns the files of a network. The error joins one *CardError for each
// link that does not fit the machine.
func Render(n preseed.Network, f Facts) ([]File, error) {
	files := []File{resolvedFile(), timesyncFile(n)}
	if n.Offline {
		return append(files, offlineFile()), nil
	}
	plan, err := planCards(n, f.NICs)
	if err != nil {
		return nil, err
	}
	for _, c := range plan {
		files = append(files, c.files(n, f)...)
	}
	if len(n.Links) == 0 {
		files = append(files, anyCable(f))
	}
	tunnel, err := tunnelFiles(n.VPN.WireGuard, f)
	if err != nil {
		return nil, err
	}
	files = append(append(files, tunnel...), proxyFiles(n, f)...)
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files, nil
}

// Warnings says in words what a person should know of answers that are allowed.
func Warnings(n preseed.Network) []string {
	var all []string
	spare := false // a less preferred wireless network
	for _, l := range slices.Backward(n.LinksByPriority()) {
		if l.WiFi == nil {
			continue
		}
		if l.WiFi.Security == preseed.WiFiOpen {
			all = append(all, fmt.Sprintf("the wireless network %q is open: everybody near it can listen to what is not encrypted otherwise", l.WiFi.SSID))
		}
		if l.WiFi.Hidden && spare {
			all = append(all, fmt.Sprintf("the wireless network %q hides its name: from a spare one the radio returns to it only when the spare one goes away", l.WiFi.SSID))
		}
		if n.Country == "" {
			all = append(all, "network.country is not given, so radios use only what is allowed everywhere, and may not see every network")
		}
		spare = true
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// card is one selection of cards and all links that use it: untagged and tagged
// ones of a cable, or the networks that a radio may join.
type card struct {
	kind  preseed.LinkType
	match preseed.MACPattern
	macs  []string // cards of this machine that fit; nil when they are not known
	index int      // among cards of its kind, in the order of the file
	links []ranked
}

// ranked is a link and the metric of its routes.
type ranked struct {
	preseed.Link
	metric int
}

// planCards groups links by the cards they use, those with the narrowest match
// first: networkd takes the first file that fits.
func planCards(n preseed.Network, nics []hardware.NIC) ([]*card, error) {
	var cards []*card
	for i, l := range n.Links {
		at := slices.IndexFunc(cards, func(c *card) bool { return c.kind == l.Type() && c.match == l.Match.MAC })
		if at < 0 {
			at = len(cards)
			c := &card{kind: l.Type(), match: l.Match.MAC}
			for _, other := range cards {
				if other.kind == c.kind {
					c.index++
				}
			}
			cards = append(cards, c)
		}
		// Metrics are unique, so that among equals the first in the file is preferred.
		cards[at].links = append(cards[at].links, ranked{l, l.Metric()*16 + min(i, 15)})
	}
	slices.SortStableFunc(cards, func(a, b *card) int { return a.width() - b.width() })
	if nics == nil {
		return cards, nil
	}
	return cards, assign(cards, nics)
}

// width orders matches: one card, the cards of a maker, any card.
func (c *card) width() int {
	switch _, exact := c.match.Exact(); {
	case exact:
		return 0
	case c.match != "":
		return 1
	}
	return 2
}

// assign gives each card of the machine to the first selection that it fits, as
// networkd will.
func assign(cards []*card, nics []hardware.NIC) error {
	for _, nic := range nics {
		mac, err := net.ParseMAC(nic.MAC)
		if err != nil {
			continue
		}
		for _, c := range cards {
			if c.links[0].Fits(preseed.LinkType(nic.Type), mac) {
				c.macs = append(c.macs, mac.String())
				break
			}
		}
	}
	var faults []error
	for _, c := range cards {
		for _, l := range c.links {
			switch {
			case len(c.macs) == 0:
				faults = append(faults, &CardError{l.Name, fmt.Sprintf("this machine has no %s card that fits", c.words()),
					"correct match, or plug the card in; the machine has " + cardWords(nics)})
			case len(c.macs) > 1 && (len(l.Addresses) > 0 || l.VLAN != 0):
				faults = append(faults, &CardError{l.Name, fmt.Sprintf("it fits %d cards (%s), and its addresses and VLAN can be on one only", len(c.macs), strings.Join(c.macs, ", ")),
					"choose one with match.mac"})
			case l.VLAN != 0 && taken(l.Name, nics):
				faults = append(faults, &CardError{l.Name, "a VLAN's interface gets the name of its link, and this name is taken", "choose another name"})
			}
		}
	}
	return errors.Join(faults...)
}

// taken reports whether an interface has that name already or will get it.
func taken(name string, nics []hardware.NIC) bool {
	return name == Tunnel || name == "stek0" || name == "cni0" || strings.HasPrefix(name, "wifi") ||
		slices.ContainsFunc(nics, func(n hardware.NIC) bool { return n.Name == name })
}

func (c *card) words() string {
	if c.match != "" {
		return string(c.kind) + " (" + string(c.match) + ")"
	}
	return string(c.kind)
}

func cardWords(nics []hardware.NIC) string {
	var all []string
	for _, n := range nics {
		all = append(all, fmt.Sprintf("%s (%s, %s)", n.Name, n.Type, n.MAC))
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}
