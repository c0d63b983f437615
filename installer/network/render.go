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
	match preseed.LinkMatch // with the kind
	nics  []hardware.NIC    // cards of this machine that fit; nil when they are not known
	index int               // among cards of its kind, in the order of the file
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
	cards := selections(n)
	if nics == nil {
		return cards, nil
	}
	assign(cards, nics)
	return cards, check(cards, nics)
}

// Cards returns which cards of a machine each link gets, by the link's name, whether or not
// the link can be with them.
func Cards(n preseed.Network, nics []hardware.NIC) map[string][]hardware.NIC {
	cards := selections(n)
	assign(cards, nics)
	of := map[string][]hardware.NIC{}
	for _, c := range cards {
		for _, l := range c.links {
			of[l.Name] = c.nics
		}
	}
	return of
}

func selections(n preseed.Network) []*card {
	var cards []*card
	for i, l := range n.Links {
		at := slices.IndexFunc(cards, func(c *card) bool { return c.match == l.Card() })
		if at < 0 {
			at = len(cards)
			c := &card{match: l.Card()}
			for _, other := range cards {
				if other.match.Type == c.match.Type {
					c.index++
				}
			}
			cards = append(cards, c)
		}
		// Metrics are unique, so that among equals the first in the file is preferred.
		cards[at].links = append(cards[at].links, ranked{l, l.Metric()*16 + min(i, 15)})
	}
	slices.SortStableFunc(cards, func(a, b *card) int { return a.place() - b.place() })
	return cards
}

// place orders matches, and begins the names of their files: one card by its address,
// where it is plugged in, the cards of a maker, those of a driver, any card. Each further
// condition moves a match before those that lack it.
func (c *card) place() int {
	place := 30
	switch _, exact := c.match.MAC.Exact(); {
	case exact:
		place = 10
	case c.match.MAC != "" || c.match.Path != "":
		place = 20
	}
	if c.match.Path != "" {
		place -= 2
		if c.match.MAC != "" {
			place -= 2
		}
	}
	if c.match.Driver != "" {
		place--
	}
	return place
}

// assign gives each card of the machine to the first selection that it fits, as
// networkd will. One whose address is not read fits what asks for none.
func assign(cards []*card, nics []hardware.NIC) {
	for _, nic := range nics {
		mac, _ := net.ParseMAC(nic.MAC) // nil, which no pattern fits
		nic.MAC = mac.String()
		of := preseed.Card{Type: preseed.LinkType(nic.Type), MAC: mac, Path: nic.Path, Driver: nic.Driver}
		if at := slices.IndexFunc(cards, func(c *card) bool { return c.match.Fits(of) }); at >= 0 {
			cards[at].nics = append(cards[at].nics, nic)
		}
	}
}

// check says which links do not fit the cards that they got.
func check(cards []*card, nics []hardware.NIC) error {
	var faults []error
	for _, c := range cards {
		for _, l := range c.links {
			switch {
			case len(c.nics) == 0:
				faults = append(faults, &CardError{l.Name, fmt.Sprintf("this machine has no %s card that fits", c.words()),
					"correct match, or plug the card in; the machine has " + cardWords(nics)})
			case len(c.nics) > 1 && (len(l.Addresses) > 0 || l.VLAN != 0):
				faults = append(faults, &CardError{l.Name, fmt.Sprintf("it fits %d cards (%s), and its addresses and VLAN can be on one only", len(c.nics), cardWords(c.nics)),
					"choose one with match.mac or match.path"})
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
	kind := string(c.match.Type)
	if more := c.match.String(); more != "" {
		return kind + " (" + more + ")"
	}
	return kind
}

// cardWords names cards with all that a match can name.
func cardWords(nics []hardware.NIC) string {
	var all []string
	for _, n := range nics {
		match := preseed.LinkMatch{MAC: preseed.MACPattern(n.MAC), Path: n.Path, Driver: n.Driver}
		all = append(all, fmt.Sprintf("%s (%s, %s)", n.Name, n.Type, match))
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}
