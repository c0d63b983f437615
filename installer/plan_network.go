package installer

import (
	"fmt"
	"strings"

	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/network"
	"github.com/stek-edge/stek/installer/preseed"
)

// NetworkPlan is what the answers say about the network, without its secrets. They may
// say nothing: then every cable asks for addresses by DHCP.
type NetworkPlan struct {
	Links    []LinkPlan `json:"links,omitempty"`    // the preferred one first
	Shared   []string   `json:"shared,omitempty"`   // what holds for all links, in words
	Warnings []string   `json:"warnings,omitempty"` // what a person should know of it
}

func planNetwork(n preseed.Network, inv *hardware.Inventory) NetworkPlan {
	plan := NetworkPlan{Warnings: network.Warnings(n)}
	if len(n.Links) > 0 {
		plan.Links = planLinks(n, inv)
	}
	if n.Country != "" {
		plan.Shared = append(plan.Shared, "radios keep to what is allowed in the country "+n.Country)
	}
	if !n.Proxy.IsZero() {
		plan.Shared = append(plan.Shared, proxyWords(n.Proxy))
	}
	return plan
}

// proxyWords has the proxy's user name and not its password.
func proxyWords(p preseed.Proxy) string {
	words := "proxy " + p.URL + " for k3s, containerd and stek"
	if p.Username != "" {
		words += ", login as " + p.Username
	}
	if p.CA != "" {
		words += ", with a certificate authority of its own"
	}
	if len(p.NoProxy) > 0 {
		words += "; not for " + strings.Join(p.NoProxy, ", ")
	}
	return words
}

// write gives each line of the plan to line, the first one with the name.
func (p NetworkPlan) write(line func(name, format string, args ...any)) {
	i := 0
	next := func(format string, args ...any) {
		line(first(i, "Network"), format, args...)
		i++
	}
	for _, l := range p.Links {
		next("%s", l.Words)
	}
	for _, words := range p.Shared {
		next("%s", words)
	}
	for _, words := range p.Warnings {
		next("   note: %s", words)
	}
}

// LinkPlan is one way out of a machine: which card, and which address it gets.
type LinkPlan struct {
	Link  string   `json:"link,omitempty"` // name in the answers; none for the cables that nobody named
	Cards []string `json:"cards"`          // names of the cards that the link may use, in this start of the machine
	Words string   `json:"words"`
	// Fault is why the link cannot come up, or would come up on a card that nobody
	// chose; Remedy is what to do.
	Fault  string `json:"fault,omitempty"`
	Remedy string `json:"remedy,omitempty"`
}

// planLinks finds the cards of each link.
func planLinks(n preseed.Network, inv *hardware.Inventory) []LinkPlan {
	if n.Offline {
		return nil
	}
	if len(n.Links) == 0 {
		n.Links = []preseed.Link{{}}
	}
	cards := network.Cards(n, inv.NICs)
	plans := make([]LinkPlan, 0, len(n.Links))
	for _, l := range n.LinksByPriority() {
		plans = append(plans, planLink(l, cards[l.Name]))
	}
	return plans
}

func planLink(l preseed.Link, cards []hardware.NIC) LinkPlan {
	plan := LinkPlan{Link: l.Name, Cards: []string{}}
	var on []string
	for _, card := range cards {
		plan.Cards = append(plan.Cards, card.Name)
		on = append(on, fmt.Sprintf("%s (%s)", card.Name, card.MAC))
	}
	name := l.Name
	if name == "" {
		name = "every cable"
	}
	parts := []string{strings.Join(on, " or ")}
	switch {
	case len(cards) == 0:
		parts[0] = "no card"
	case l.WiFi == nil && len(cards) > 1:
		parts[0] = strings.Join(on, " and ")
	}
	if l.WiFi != nil {
		parts = append(parts, wirelessWords(l.WiFi))
	}
	if l.VLAN != 0 {
		parts = append(parts, fmt.Sprintf("VLAN %d", l.VLAN))
	}
	for _, address := range l.Addresses {
		parts = append(parts, address.String())
	}
	for _, gateway := range l.Gateways {
		parts = append(parts, "gateway "+gateway.String())
	}
	if l.UsesDHCP() {
		parts = append(parts, "addresses by DHCP")
	}
	plan.Words = name + ": " + strings.Join(parts, ", ")
	switch {
	case len(cards) == 0 && l.Name == "":
		plan.Fault, plan.Remedy = "this machine has no network card for a cable", "write network.offline: true, or a link for its wireless network"
	case len(cards) == 0 && l.Match.String() != "":
		plan.Fault, plan.Remedy = fmt.Sprintf("no %s card of this machine fits %s", l.Type(), l.Match), "correct match"
	case len(cards) == 0:
		plan.Fault, plan.Remedy = fmt.Sprintf("this machine has no %s card for it", l.Type()), "fit one, or take the link out"
	case len(cards) > 1 && len(l.Addresses) > 0:
		plan.Fault, plan.Remedy = fmt.Sprintf("%d cards fit, and an address belongs to one", len(cards)), "name the card by match.mac or match.path"
	}
	return plan
}

// wirelessWords names a wireless network and its protection, without password and key.
func wirelessWords(w *preseed.WiFi) string {
	words := fmt.Sprintf("wireless network %q, %s", w.SSID, w.Security)
	if w.Hidden {
		words = fmt.Sprintf("hidden wireless network %q, %s", w.SSID, w.Security)
	}
	if w.EAP != nil {
		words += fmt.Sprintf(" (%s as %s)", w.EAP.Method, w.EAP.Identity)
	}
	return words
}
