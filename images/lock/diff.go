package lock

import (
	"fmt"
	"strings"
)

// Change is a component that is in both locks and not the same.
type Change struct {
	Old, New Component
}

// Difference is what changed from one lock to another, each list in the order of
// the lock file.
type Difference struct {
	Added   []Component
	Removed []Component
	Changed []Change
}

// Empty tells that nothing changed.
func (d Difference) Empty() bool {
	return len(d.Added) == 0 && len(d.Removed) == 0 && len(d.Changed) == 0
}

// Compare finds the differences. Version, digest, size, source and note all count.
func Compare(old, now *Lock) Difference {
	before := map[string]Component{}
	for _, c := range old.Components {
		before[c.ID()] = c
	}
	var d Difference
	after := map[string]bool{}
	for _, c := range now.Components {
		after[c.ID()] = true
		if was, ok := before[c.ID()]; !ok {
			d.Added = append(d.Added, c)
		} else if was != c {
			d.Changed = append(d.Changed, Change{was, c})
		}
	}
	for _, c := range old.Components {
		if !after[c.ID()] {
			d.Removed = append(d.Removed, c)
		}
	}
	return d
}

// String shows the difference to a person, one line for each component: "+" added,
// "-" removed, "~" changed. It is empty when nothing changed.
func (d Difference) String() string {
	var out strings.Builder
	for _, c := range d.Added {
		fmt.Fprintf(&out, "+ %s %s %s (%s)\n", c.Kind, c.Name, c.Version, c.Arch)
	}
	for _, c := range d.Removed {
		fmt.Fprintf(&out, "- %s %s %s (%s)\n", c.Kind, c.Name, c.Version, c.Arch)
	}
	for _, c := range d.Changed {
		if c.Old.Version != c.New.Version {
			fmt.Fprintf(&out, "~ %s %s %s -> %s (%s)\n", c.New.Kind, c.New.Name, c.Old.Version, c.New.Version, c.New.Arch)
			continue
		}
		what := "source"
		if c.Old.SHA256 != c.New.SHA256 {
			// Same version, other bytes: worth a person's eye.
			what = fmt.Sprintf("digest %.12s -> %.12s", c.Old.SHA256, c.New.SHA256)
		}
		fmt.Fprintf(&out, "~ %s %s %s, other %s (%s)\n", c.New.Kind, c.New.Name, c.New.Version, what, c.New.Arch)
	}
	return out.String()
}

// MismatchError is a strict build that would not be what the lock says.
type MismatchError struct {
	Difference Difference
}

func (e *MismatchError) Error() string {
	d := e.Difference
	return fmt.Sprintf("the components differ from the lock (%d added, %d removed, %d changed); build without --locked to lock again, and review the difference:\n%s",
		len(d.Added), len(d.Removed), len(d.Changed), strings.TrimSuffix(d.String(), "\n"))
}

// Require returns a MismatchError that lists every difference between the locked
// components of one architecture and those that a build would use.
func (l *Lock) Require(arch string, components []Component) error {
	if d := Compare(&Lock{Components: l.Of(arch)}, (&Lock{}).Replace(arch, components)); !d.Empty() {
		return &MismatchError{d}
	}
	return nil
}
