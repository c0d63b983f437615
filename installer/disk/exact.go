package disk

import (
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/preseed"
)

// Verdicts judges every disk of a machine for a person who chooses among them: what is
// against a disk holds whatever the answers say.
func Verdicts(inv *hardware.Inventory) []Verdict {
	all := make([]Verdict, 0, len(inv.Disks))
	for _, d := range inv.Disks {
		all = append(all, judge(d, preseed.Match{}))
	}
	return all
}

// Exactly returns the disk.match that one disk of a machine fits and no other: its serial
// number where it has one, and otherwise model, bus and size. ok is false when another
// disk looks the same.
func Exactly(inv *hardware.Inventory, d hardware.Disk) (m preseed.Match, ok bool) {
	if d.Serial != "" {
		m.Serial = literal(d.Serial)
	} else {
		size := preseed.Bytes(d.Size)
		m = preseed.Match{Model: literal(d.Model), Bus: d.Bus, MinSize: size, MaxSize: size}
	}
	for _, other := range inv.Disks {
		if other.Path != d.Path && !other.Boot && len(judge(other, m).Reasons) == len(judge(other, preseed.Match{}).Reasons) {
			return m, false
		}
	}
	return m, true
}

// literal is a pattern that only the text itself fits: ? stands for one character, which
// is close enough for the two that mean something.
func literal(text string) string {
	b := []byte(text)
	for i, c := range b {
		if c == '*' || c == '[' || c == '\\' {
			b[i] = '?'
		}
	}
	return string(b)
}
