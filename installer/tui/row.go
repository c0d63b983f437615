package tui

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/preseed"
)

// row is one line, or paragraph, of a screen.
type row struct {
	kind  rowKind
	text  string // what it says
	note  string // more about it, below
	fault string // what is wrong with it
	hang  int    // columns by which further lines of a long one are indented

	light  installer.Light // of a finding
	on     bool            // an option or a switch that is chosen
	barred bool            // shown, and cannot be chosen

	id     string // of what takes the focus: its own on a page, whatever is said in which language
	value  string // of an input
	secret bool   // of an input: shown as stars
	lines  bool   // of an input: a text of many lines that is pasted, or taken away
	strict bool   // of a button: nothing on the page may be wrong
	set    func(st *state, value string)
	do     func(st *state) action // of an option, switch or button
}

type rowKind int

const (
	paragraph rowKind = iota
	heading
	finding // with a light
	option  // one of several
	check   // on or off
	input
	button
)

// takesFocus tells whether a person can go to the row.
func (r row) takesFocus() bool {
	return slices.Contains([]rowKind{option, check, input, button}, r.kind) && !r.barred
}

// action is what a row asks the program to do after it has changed the answers.
type action int

const (
	stay action = iota
	next
	back
	begin // the installation
	stop
	leave
	save        // the answers
	saveReport  // of what was done
	answer      // a step's question
	resume      // what lay below
	show        // what a step shows, as a picture
	quit        // a person has said yes
	lookAgain   // at the machine
	testNetwork // as it is answered
	scanNetworks
)

// keyed is an input for a key of the answer file, judged by its rule.
func keyed(st *state, path, label string) row {
	key, _ := preseed.Lookup(path)
	r := row{kind: input, id: path, text: label, value: st.draft.one(path), note: st.say(key.Description), secret: key.Secret}
	if f := preseed.CheckValue(path, r.value); f != nil && r.value != "" {
		r.fault = st.fault(*f)
	}
	r.set = func(st *state, value string) { st.draft.set(path, value) }
	return r
}

// mayBeEmpty tells whether a key can be left without a value: nothing is wrong then that is
// not wrong already, but for what goes when others are emptied as well, such as the gateway
// of an address.
func (st *state) mayBeEmpty(path string) bool {
	without := draft{values: maps.Clone(st.draft.values)}
	for {
		key, known := preseed.Lookup(path)
		if !known || key.Required || key.Default != "" || len(without.list(path)) == 0 {
			return false
		}
		without.drop(path)
		_, err := preseed.Compose(without.values)
		var faults preseed.Faults
		errors.As(err, &faults)
		i := slices.IndexFunc(faults, func(f preseed.Fault) bool { return !slices.Contains(st.faults(), f) })
		if i < 0 {
			return true
		}
		path = faults[i].Key
	}
}

// listed is an input for a key that has a list, typed with commas between the entries.
func listed(st *state, path, label string) row {
	key, _ := preseed.Lookup(path)
	r := row{kind: input, id: path, text: label, value: strings.Join(st.draft.list(path), ", "), note: st.say(key.Description)}
	for _, value := range st.draft.list(path) {
		if f := preseed.CheckValue(path, value); f != nil && r.fault == "" {
			r.fault = st.fault(*f)
		}
	}
	r.set = func(st *state, typed string) {
		values := strings.Split(typed, ",")
		for i := range values {
			values[i] = strings.TrimSpace(values[i])
		}
		st.draft.set(path, values...)
	}
	return r
}

// placed puts the faults of all answers together beside what they are about: at the row of
// the key, or at the button that goes on where the page has no such row. Those of other
// pages' keys stand there.
func (st *state) placed(about []string, rows []row, ahead row) []row {
	for _, f := range st.faults() {
		if i := slices.IndexFunc(rows, func(r row) bool { return r.kind == input && (f.Key == r.id || strings.HasPrefix(f.Key, r.id+"[")) }); i >= 0 {
			if rows[i].fault == "" {
				rows[i].fault = st.fault(f)
			}
			continue
		}
		if ahead.fault == "" && slices.ContainsFunc(about, func(key string) bool { return preseed.Covers(key, f.Key) }) {
			ahead.fault = st.fault(f)
		}
	}
	return append(rows, ahead)
}

// word is an option that gives a key one value.
func word(st *state, path, value, label string) row {
	return row{kind: option, id: path + "=" + value, text: label, on: st.draft.one(path) == value, do: func(st *state) action {
		st.draft.set(path, value)
		return stay
	}}
}

// fault is one without the key, which the label names already.
func (st *state) fault(f preseed.Fault) string {
	message := st.say(strings.TrimPrefix(strings.TrimPrefix(f.Message, f.Key+": "), f.Key+" "))
	if f.Remedy == "" {
		return message
	}
	return message + "; " + st.say(f.Remedy)
}

func (st *state) goOn() row {
	return row{kind: button, id: "continue", text: st.t("continue"), strict: true, do: func(*state) action { return next }}
}
