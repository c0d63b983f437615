package tui

import (
	"strings"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/network/probe"
	"github.com/stek-edge/stek/installer/preseed"
)

// way is one way in which a box reaches others. A further one is one more file, with a line
// in ways.
type way struct {
	id   string
	on   func(st *state) bool  // the answers are of this way
	take func(st *state)       // makes them so, where they say nothing about a way
	rows func(st *state) []row // what the way wants to know; nil: nothing
	fits func(st *state) bool  // the machine can; nil: each can
}

// ways are in the order in which they are offered. The answers are of one of them.
var ways = []way{everyCable, oneCable, wireless, noNetwork}

// besides are what is asked with every way but none. A further part is one more file, with a
// line here.
var besides = []func(st *state) []row{tunnel, proxy, timeServers}

func timeServers(st *state) []row {
	return []row{listed(st, "network.ntp", st.t("network.ntp"))}
}

var everyCable = way{id: "dhcp",
	on:   func(st *state) bool { return !st.offline() && !st.draft.any(links) },
	take: func(*state) {}, // it is what holds when nothing is said
}

var noNetwork = way{id: "offline",
	on:   (*state).offline,
	take: func(st *state) { st.draft.set("network.offline", "true") },
}

func (st *state) offline() bool { return st.draft.one("network.offline") == "true" }

// goWay makes the answers those of a way: as they were when it was left, or new ones. What
// stands beside the ways stays.
func (st *state) goWay(to way) {
	if to.on(st) {
		return
	}
	if !st.offline() {
		st.online = st.draft.below("network")
	}
	for _, from := range ways {
		if from.on(st) {
			st.ways[from.id] = st.draft.below(links)
		}
	}
	st.draft.drop("network")
	for path, values := range st.online {
		if to.id != noNetwork.id && !strings.HasPrefix(path, links) {
			st.draft.set(path, values...)
		}
	}
	if len(st.ways[to.id]) == 0 {
		to.take(st)
		return
	}
	for path, values := range st.ways[to.id] {
		st.draft.set(path, values...)
	}
}

// links is where the answers keep the ways, but for the one that is none.
const links = "network.links"

// network asks how the box reaches others, and shows what its cards say about it.
func network(st *state) []row {
	rows := []row{{kind: paragraph, text: st.t("network.text")}}
	var more []row
	for _, w := range ways {
		if w.fits != nil && !w.fits(st) && !w.on(st) {
			continue
		}
		r := row{kind: option, id: "way=" + w.id, text: st.t("network." + w.id), on: w.on(st)}
		r.do = func(st *state) action {
			st.goWay(w)
			return stay
		}
		rows = append(rows, r)
		if r.on && w.rows != nil {
			more = w.rows(st)
		}
	}
	rows = append(rows, more...)
	if !st.offline() {
		for _, part := range besides {
			rows = append(rows, part(st)...)
		}
	}
	rows = append(rows, row{kind: heading, text: st.t("network.cards")})
	rows = append(rows, cards(st)...)
	if st.Test != nil && !st.offline() && len(st.Inventory.NICs) > 0 {
		rows = append(rows, panel(st)...)
	}
	return st.placed([]string{"network"}, rows, st.goOn())
}

// cards shows each network card, with its carrier and addresses where they are known.
func cards(st *state) []row {
	if len(st.Inventory.NICs) == 0 && len(st.cards) == 0 {
		return []row{{kind: finding, light: installer.Yellow, text: st.t("network.none")}}
	}
	var rows []row
	if st.cards == nil {
		for _, n := range st.Inventory.NICs {
			rows = append(rows, row{kind: finding, text: strings.Join([]string{n.Name, n.Type, n.MAC}, ", ")})
		}
		return rows
	}
	for _, c := range st.cards {
		r := row{kind: finding, light: installer.Yellow}
		var state string
		switch {
		case !c.On:
			state = st.t("card.off")
		case !c.Carrier:
			state = st.t("card.nothing")
		case len(c.Addresses) == 0:
			state = st.t("card.carrier")
		default:
			r.light = installer.Green
			var all []string
			for _, a := range c.Addresses {
				all = append(all, a.String())
			}
			state = strings.Join(all, ", ")
		}
		r.text = c.Name + " (" + c.MAC + "): " + state
		rows = append(rows, r)
	}
	return rows
}

// panel is the test: a button, and each stage with its verdict as it falls.
func panel(st *state) []row {
	label := st.t("network.test")
	if st.testing {
		label = st.t("network.testing")
	}
	button := row{kind: button, id: "test", text: label, do: func(st *state) action {
		if st.testing || len(st.networkFaults()) > 0 {
			return stay
		}
		return testNetwork
	}}
	rows := []row{button}
	if st.tested != st.draft.changed {
		return rows // what was found is of other answers
	}
	for _, v := range st.verdicts {
		rows = append(rows, verdictRow(st, v))
	}
	return rows
}

func verdictRow(st *state, v probe.Verdict) row {
	r := row{kind: finding, text: strings.TrimSpace(st.say(string(v.Stage))+" "+v.Of) + ": " + st.say(v.Saw), note: st.say(v.Do)}
	switch {
	case v.Outcome == probe.Passed:
		r.light = installer.Green
	case v.Outcome == probe.Failed && v.Fault.Remote():
		r.light = installer.Yellow
	case v.Outcome == probe.Failed:
		r.light = installer.Red
	}
	return r
}

// networkFaults are those of the answers about the network: with one there is nothing to
// be tested.
func (st *state) networkFaults() preseed.Faults {
	var of preseed.Faults
	for _, f := range st.faults() {
		if preseed.Covers("network", f.Key) {
			of = append(of, f)
		}
	}
	return of
}
