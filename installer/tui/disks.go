package tui

import (
	"strings"

	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/preseed"
)

// disks lists every disk, also those that cannot be taken, with what is against them:
// who misses a disk in a list takes the wrong one.
func disks(st *state) []row {
	rows := []row{{kind: paragraph, text: st.t("disk.text")}}
	chosen := false
	for _, c := range disk.Choices(st.Inventory) {
		r := row{kind: option, id: "disk=" + c.Disk.Path, text: st.say(disk.Describe(c.Disk)), note: onIt(st, c.Disk)}
		switch {
		case len(c.Reasons) > 0:
			r.barred, r.note = true, st.say(strings.Join(c.Why, "; "))
		case c.Twin:
			r.barred, r.note = true, st.t("disk.twin")
		default:
			r.on = st.matches(c.Match)
			r.do = func(st *state) action {
				st.match(c.Match)
				return stay
			}
		}
		chosen = chosen || r.on
		rows = append(rows, r)
	}
	ahead := st.goOn()
	if !chosen {
		ahead.fault = st.t("disk.none")
	}
	rows = append(rows, ahead)
	if st.Look != nil {
		rows = append(rows, row{kind: button, id: "look", text: st.t("disk.look"), do: func(*state) action { return lookAgain }})
	}
	return rows
}

// onIt says what is on a disk now.
func onIt(st *state, d hardware.Disk) string {
	losses := disk.Losses(d)
	if len(losses) == 0 {
		return st.t("disk.empty")
	}
	return st.t("disk.holds", st.say(strings.Join(losses, "; ")))
}

// matchPaths are the keys that a chosen disk is named by.
var matchPaths = []string{"disk.match.serial", "disk.match.model", "disk.match.bus", "disk.match.min-size", "disk.match.max-size"}

func matchValues(m preseed.Match) []string {
	size := func(b preseed.Bytes) string {
		if b == 0 {
			return ""
		}
		return b.String()
	}
	return []string{m.Serial, m.Model, m.Bus, size(m.MinSize), size(m.MaxSize)}
}

// match has the answers name a disk.
func (st *state) match(m preseed.Match) {
	for i, value := range matchValues(m) {
		st.draft.set(matchPaths[i], value)
	}
	st.draft.drop("disk.match.rotational") // the disk is named by the others
	st.typed = ""
}

// matches tells whether the answers name the disk.
func (st *state) matches(m preseed.Match) bool {
	named := false
	for i, value := range matchValues(m) {
		if st.draft.one(matchPaths[i]) != value {
			return false
		}
		named = named || value != ""
	}
	return named
}
