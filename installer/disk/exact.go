package disk

import (
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/preseed"
)

// Choice is a disk as a person is offered it.
type Choice struct {
	Verdict               // what is against it, whatever the answers say
	Match   preseed.Match // what answers name it by
	Twin    bool          // another disk that could be used is named by the same
}

// Choices offers every disk of a machine. A disk is named by its serial number where it
// has one, and otherwise by model, bus and size.
func Choices(inv *hardware.Inventory) []Choice {
	all := make([]Choice, 0, len(inv.Disks))
	named := map[preseed.Match]int{}
	for _, d := range inv.Disks {
		c := Choice{Verdict: judge(d, preseed.Match{}), Match: matchOf(d)}
		if len(c.Reasons) == 0 {
			named[c.Match]++
		}
		all = append(all, c)
	}
	for i := range all {
		all[i].Twin = named[all[i].Match] > 1
	}
	return all
}

func matchOf(d hardware.Disk) preseed.Match {
	if d.Serial != "" {
		return preseed.Match{Serial: literal(d.Serial)}
	}
	size := preseed.Bytes(d.Size)
	return preseed.Match{Model: literal(d.Model), Bus: d.Bus, MinSize: size, MaxSize: size}
}

// literal is a pattern that only the text itself fits: ? stands for one character, which
// is close enough for those that mean something in a pattern.
func literal(text string) string {
	b := []byte(text)
	for i, c := range b {
		if c == '*' || c == '[' || c == '\\' {
			b[i] = '?'
		}
	}
	return string(b)
}
