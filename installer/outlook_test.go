package installer

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/preseed"
	"github.com/stek-edge/stek/test/golden"
	"github.com/stek-edge/stek/test/machines"
)

// TestForesee plans every machine of test/machines by the one answer file there.
func TestForesee(t *testing.T) {
	site, err := preseed.Read("site.yaml", machines.Site)
	if err != nil {
		t.Fatal(err)
	}
	names := machines.Names()
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			inv := machines.Load(t, name)
			a, err := site.For(Machine(inv))
			if err != nil {
				t.Fatal(err)
			}
			o := Foresee(preseed.Defaults(a), inv, image(), testIDs())
			var b bytes.Buffer
			if err := WriteOutlook(&b, o); err != nil {
				t.Fatal(err)
			}
			golden.Check(t, "outlook-"+name+".txt", b.Bytes())
			// What an installation would say of the same answers.
			if _, err := Make(preseed.Defaults(a), inv, image(), testIDs()); (err == nil) != (o.Refusal == nil && len(o.NotBuilt) == 0) {
				t.Errorf("the outlook is refused: %v, the plan: %v", o.Refusal, err)
			}
		})
	}
	if len(names) < 8 || len(names) != len(site.Boxes()) {
		t.Errorf("%d machines, %d boxes in the answer file", len(names), len(site.Boxes()))
	}
}

// TestPlanLinks checks which card each link gets.
func TestPlanLinks(t *testing.T) {
	inv := &hardware.Inventory{NICs: []hardware.NIC{
		{Name: "eno1", MAC: "3c:ec:ef:12:34:56", Type: "ethernet", Path: "pci-0000:05:00.0", Driver: "igb"},
		{Name: "eno2", MAC: "3c:ec:ef:12:34:57", Type: "ethernet", Path: "pci-0000:06:00.0", Driver: "igb"},
		{Name: "wlan0", MAC: "dc:a6:32:00:00:01", Type: "wifi"}, {Name: "ib0", Type: "other"}}}
	none := &hardware.Inventory{}
	for name, test := range map[string]struct {
		network string
		inv     *hardware.Inventory
		want    string
	}{
		"no links":             {"offline: false", inv, "every cable: eno1 (3c:ec:ef:12:34:56) and eno2 (3c:ec:ef:12:34:57), addresses by DHCP"},
		"no links, no card":    {"offline: false", none, "every cable: no card, addresses by DHCP! this machine has no network card for a cable"},
		"offline":              {"offline: true", inv, ""},
		"one card by address":  {`links: [{name: a}, {name: b, match: {mac: "3c:ec:ef:12:34:56"}, addresses: [10.0.0.7/24]}]`, inv, "a: eno2 (3c:ec:ef:12:34:57), addresses by DHCP\nb: eno1 (3c:ec:ef:12:34:56), 10.0.0.7/24"},
		"preferred first":      {`links: [{name: a, vlan: 7}, {name: b, vlan: 8, priority: 5, match: {mac: "3c:ec:ef:12:34:57"}}]`, inv, "b: eno2 (3c:ec:ef:12:34:57), VLAN 8, addresses by DHCP\na: eno1 (3c:ec:ef:12:34:56), VLAN 7, addresses by DHCP"},
		"one card by place":    {`links: [{name: a, match: {driver: igb}}, {name: b, match: {path: "pci-0000:05:00.0"}, addresses: [10.0.0.7/24]}]`, inv, "a: eno2 (3c:ec:ef:12:34:57), addresses by DHCP\nb: eno1 (3c:ec:ef:12:34:56), 10.0.0.7/24"},
		"place without a card": {`links: [{name: a, match: {path: "pci-0000:07:00.0", driver: igb}}]`, inv, "a: no card, addresses by DHCP! no ethernet card of this machine fits pci-0000:07:00.0, igb"},
		"address for any":      {"links: [{name: a, addresses: [10.0.0.7/24]}]", inv, "a: eno1 (3c:ec:ef:12:34:56) and eno2 (3c:ec:ef:12:34:57), 10.0.0.7/24! 2 cards fit, and an address belongs to one"},
		"pattern fits none":    {`links: [{name: a, match: {mac: "00:11:22:*"}}]`, inv, "a: no card, addresses by DHCP! no ethernet card of this machine fits 00:11:22:*"},
		"wifi":                 {`links: [{name: a, wifi: {ssid: Kas 7, security: open}}]`, inv, `a: wlan0 (dc:a6:32:00:00:01), wireless network "Kas 7", open, addresses by DHCP`},
		"wifi without a card":  {`links: [{name: a, wifi: {ssid: Kas 7, security: open}}]`, none, `a: no card, wireless network "Kas 7", open, addresses by DHCP! this machine has no wifi card for it`},
	} {
		t.Run(name, func(t *testing.T) {
			a := answers(t, "stek: 1\nencryption: {recovery: {show: true}}\nnetwork:\n  "+test.network+"\n")
			var got []string
			for _, l := range planLinks(a.Network, test.inv) {
				line := l.Words
				if l.Fault != "" {
					line += "! " + l.Fault
				}
				got = append(got, line)
			}
			if strings.Join(got, "\n") != test.want {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), test.want)
			}
		})
	}
}
