package tui

import (
	"strings"

	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/preseed"
)

// link is where the answers keep the one cable that is asked about.
const link = links + "[0]"

// oneCable is a card with settings of its own: a VLAN, a fixed address, or both. Without an
// address it asks for one by DHCP.
var oneCable = way{id: "cable",
	on: func(st *state) bool {
		return !st.offline() && st.draft.any(links) && !st.draft.any(link+".wifi")
	},
	take: func(st *state) {
		st.draft.set(link+".name", "cable")
		if cards := st.ethernet(); len(cards) > 0 {
			st.draft.set(link+".match.mac", strings.ToLower(cards[0].MAC))
		}
	},
	fits: func(st *state) bool { return len(st.ethernet()) > 0 },
	rows: func(st *state) []row {
		rows := []row{{kind: heading, text: st.t("cable.card")}}
		for _, c := range st.ethernet() {
			mac := strings.ToLower(c.MAC)
			rows = append(rows, word(st, link+".match.mac", mac, c.Name+" ("+mac+")"))
		}
		return append(rows,
			keyed(st, link+".vlan", st.t("cable.vlan")),
			listed(st, link+".addresses", st.t("cable.addresses")),
			listed(st, link+".gateway", st.t("cable.gateway")),
			listed(st, link+".dns", st.t("cable.dns")))
	},
}

// ethernet are the cards for a cable.
func (st *state) ethernet() []hardware.NIC {
	var of []hardware.NIC
	for _, n := range st.Inventory.NICs {
		if n.Type == string(preseed.Ethernet) && n.MAC != "" {
			of = append(of, n)
		}
	}
	return of
}
