package tui

import (
	"slices"

	"github.com/stek-edge/stek/installer/preseed"
)

// screen is one page of questions.
type screen struct {
	id   string // of its title among the messages
	rows func(st *state) []row
	// about are the keys of the answer file, and sections of it, that the page asks for.
	// A page about none is shown unless the answer file says what is to be asked.
	about []string
	// fits tells whether there is something to ask on this machine; nil: on each.
	fits func(st *state) bool
}

// screens are the pages in their order.
var screens = []screen{
	{id: "welcome", rows: welcome, about: []string{"node.language", "node.keyboard"}},
	{id: "machine", rows: machine},
	{id: "disk", rows: disks, about: []string{"disk.match"}},
	{id: "encryption", rows: encryption, about: []string{"encryption"}},
	{id: "boot", rows: boot, about: []string{"boot.secure-boot"}, fits: canEnrol},
	{id: "network", rows: network, about: []string{"network"}},
	{id: "node", rows: node, about: []string{"node.name", "node.site", "node.timezone", "node.admin", rolePath, serverPath, tokenPath, "on-finish"}},
	{id: "review", rows: review},
}

// wanted tells whether a page is shown in a session.
func (s screen) wanted(st *state) bool {
	switch {
	case s.fits != nil && !s.fits(st):
		return false
	case len(st.Ask) == 0, s.id == "review":
		return true
	}
	return slices.ContainsFunc(st.Ask, func(ask string) bool {
		return slices.ContainsFunc(s.about, func(key string) bool { return preseed.Covers(ask, key) || preseed.Covers(key, ask) })
	})
}

// page is what is shown now.
func (st *state) page(at int) screen {
	switch st.phase {
	case working:
		return screen{id: "progress", rows: progress}
	case over:
		return screen{id: st.ending(), rows: done}
	}
	return st.screens[at]
}

// faulty tells whether something on a page is wrong, so that it cannot be left.
func faulty(rows []row) bool {
	for _, r := range rows {
		if r.fault != "" {
			return true
		}
	}
	return false
}
