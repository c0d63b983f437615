package tui

// screen is one page of questions.
type screen struct {
	id   string // of its title among the messages
	rows func(st *state) []row
}

// screens are the pages in their order.
var screens = []screen{
	{id: "welcome", rows: welcome},
	{id: "machine", rows: machine},
	{id: "disk", rows: disks},
	{id: "encryption", rows: encryption},
	{id: "network", rows: network},
	{id: "node", rows: node},
	{id: "review", rows: review},
}

// page is what is shown now.
func (st *state) page(at int) screen {
	switch st.phase {
	case working:
		return screen{id: "progress", rows: progress}
	case over:
		return screen{id: st.ending(), rows: done}
	}
	return screens[at]
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
