//go:build linux

package probe

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/mdlayher/wifi"
	"github.com/vishvananda/netlink"

	"github.com/stek-edge/stek/installer/hardware"
)

// radio looks whether the card is there and may transmit. A radio has no carrier
// before it has joined a network, so that is no question here.
func (p *prober) radio(ctx context.Context, l Link) finding {
	if !wait(ctx, p.Carrier, func() bool {
		_, err := netlink.LinkByName(l.Interface)
		return err == nil
	}) {
		return failed(FaultNoRadio, "there is no radio "+l.Interface)
	}
	if _, err := os.Stat(filepath.Join(p.Sys, "class/net", l.Interface, "phy80211")); err != nil {
		return failed(FaultNoRadio, l.Interface+" is no radio")
	}
	if how := (hardware.Roots{Sys: p.Sys}).Blocked(l.Interface); how != "" {
		return failed(FaultNoRadio, fmt.Sprintf("%s is switched off by %s", l.Interface, blockedWords[how]))
	}
	return passed("the radio " + l.Interface + " is there")
}

// blockedWords are what keeps a radio from transmitting.
var blockedWords = map[string]string{hardware.BlockedHard: "its switch or the firmware", hardware.BlockedSoft: "software (rfkill)"}

// association waits until the radio has joined its network, or another one that it may
// join, and meanwhile listens to what wpa_supplicant says about it.
func (p *prober) association(ctx context.Context, l Link) finding {
	client, err := wifi.New()
	if err != nil {
		return failed(FaultNoRadio, fmt.Sprintf("the kernel's radios cannot be asked: %v", err))
	}
	defer client.Close()
	card, err := findRadio(client, l.Interface)
	if err != nil {
		return failed(FaultNoRadio, err.Error())
	}
	events, listenErr := listenWPA(filepath.Join(p.WPA, l.Interface))
	if listenErr == nil {
		defer events.close()
	}
	var bss *wifi.BSS
	others := otherNetworks(p.want.Links, l)
	joined := func() bool {
		bss, err = client.BSS(card)
		return err == nil && bss.Status == wifi.BSSStatusAssociated && (bss.SSID == l.Network || slices.Contains(others, bss.SSID)) && authorised(l)
	}
	switch has := wait(ctx, p.Associate, joined); {
	case has && bss.SSID == l.Network:
		return passed(joinedWords(client, card, bss))
	case has && listenErr != nil:
		return standsBy(bss.SSID)
	case has:
		return judgeStandby(l, bss.SSID, events.seen())
	case listenErr != nil:
		return failed(FaultNotJoined, fmt.Sprintf("wpa_supplicant is not there for %s: %v", l.Interface, listenErr))
	}
	return judgeAssociation(l, events.seen(), reachable(client, card))
}

// otherNetworks are those that the same radio may join instead.
func otherNetworks(all []Link, l Link) []string {
	var names []string
	for _, other := range all {
		if other.Interface == l.Interface && other.Network != "" && other.Network != l.Network {
			names = append(names, other.Network)
		}
	}
	return names
}

// standsBy is for a link whose radio has joined another of its networks.
func standsBy(joined string) finding {
	return finding{outcome: Skipped, saw: fmt.Sprintf("stands by: %q is joined", joined), standsBy: true}
}

// judgeStandby decides about a link whose radio joined another network while it was listened
// to. What was refused on the way there is a fault, that a network was not in reach is not:
// this is what the other one is for.
func judgeStandby(l Link, joined string, events []wpaEvent) finding {
	if f := judgeAssociation(l, events, []string{l.Network}); f.fault == FaultWrongKey || f.fault == FaultLogin {
		return f
	}
	return standsBy(joined)
}

// authorised: a station is associated before the keys are agreed on; the card has a
// carrier only after that (IEEE 802.1X port, operstates.rst of the kernel).
func authorised(l Link) bool {
	link, err := netlink.LinkByName(l.Interface)
	return err == nil && link.Attrs().OperState == netlink.OperUp
}

func findRadio(client *wifi.Client, name string) (*wifi.Interface, error) {
	all, err := client.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("the kernel's radios cannot be asked: %w", err)
	}
	for _, i := range all {
		if i.Name == name {
			return i, nil
		}
	}
	return nil, errors.New("there is no radio " + name)
}

func joinedWords(client *wifi.Client, card *wifi.Interface, bss *wifi.BSS) string {
	words := fmt.Sprintf("joined %q at %s, %d MHz", bss.SSID, bss.BSSID, bss.Frequency)
	if stations, err := client.StationInfo(card); err == nil && len(stations) > 0 {
		words += fmt.Sprintf(", signal %d dBm", stations[0].Signal)
		if stations[0].Signal < weak {
			words += " (weak: move the box or its antenna)"
		}
	}
	return words
}

// weak is a signal at which a link still holds at its lowest rates only.
const weak = -75 // dBm

// reachable are the names of the networks that the last scan has seen.
func reachable(client *wifi.Client, card *wifi.Interface) []string {
	points, err := client.AccessPoints(card)
	if err != nil {
		return nil
	}
	var names []string
	for _, b := range points {
		if b.SSID != "" && !slices.Contains(names, b.SSID) {
			names = append(names, b.SSID)
		}
	}
	return names
}

// judgeAssociation decides why a radio has not joined from wpa_supplicant's events
// and the networks in reach.
func judgeAssociation(l Link, events []wpaEvent, reachable []string) finding {
	name := fmt.Sprintf("%q", l.Network)
	var rejected string
	// The kernel remembers a network for half a minute that it has heard; wpa_supplicant
	// says after each scan of its own when the network was not in it. It says so as well
	// of one that is in reach and was given up for a while.
	found, givenUp := slices.Contains(reachable, l.Network), false
	for _, e := range events {
		switch {
		case e.wrongKey():
			return failed(FaultWrongKey, name+" is there and does not accept the key")
		case e.name == "CTRL-EVENT-EAP-FAILURE", e.name == "CTRL-EVENT-EAP-TLS-CERT-ERROR", e.fields["reason"] == "AUTH_FAILED":
			return failed(FaultLogin, name+" is there and does not accept the login")
		case e.name == "CTRL-EVENT-ASSOC-REJECT", e.name == "CTRL-EVENT-AUTH-REJECT":
			rejected, found = fmt.Sprintf("%s refuses this box (status %s)", name, e.fields["status_code"]), true
		case e.name == "Trying":
			found = true
		case e.name == "CTRL-EVENT-SSID-TEMP-DISABLED":
			givenUp = true
		case e.name == "CTRL-EVENT-NETWORK-NOT-FOUND" && !givenUp:
			found = false
		}
	}
	if rejected != "" {
		return failed(FaultNotJoined, rejected)
	}
	if !found {
		others := slices.DeleteFunc(slices.Clone(reachable), func(name string) bool { return name == l.Network })
		if len(others) == 0 {
			return failed(FaultNoNetwork, name+" is not in reach; no network is")
		}
		return failed(FaultNoNetwork, fmt.Sprintf("%s is not in reach; %d others are, such as %q", name, len(others), others[0]))
	}
	return failed(FaultNotJoined, name+" is there and was not joined in time")
}
