package preseed

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// FaultKind sorts faults for those who decide on them. People read the message.
type FaultKind string

// The kinds of faults.
const (
	FaultSyntax    FaultKind = "syntax"    // not YAML, or YAML that answer files do not use
	FaultUnknown   FaultKind = "unknown"   // a key that no version knows
	FaultNotBuilt  FaultKind = "not-built" // a key or word of the format that this version does not carry out
	FaultDuplicate FaultKind = "duplicate" // a key given twice
	FaultType      FaultKind = "type"      // a list where text is expected, say
	FaultValue     FaultKind = "value"     // the right type, but no meaning
	FaultMissing   FaultKind = "missing"   // something that must be said is not
	FaultConflict  FaultKind = "conflict"  // two answers that cannot both hold
)

// Fault is one thing that is wrong with an answer file.
type Fault struct {
	File string `json:"file,omitempty"`
	// Line and Column count from 1; columns count characters, not bytes. They point
	// at the key when the key is wrong and at the value when the value is. Both are
	// 0 for answers that did not come from a file.
	Line    int       `json:"line,omitempty"`
	Column  int       `json:"column,omitempty"`
	Key     string    `json:"key,omitempty"` // dotted path: disk.match.serial, encryption.unlock[1]
	Kind    FaultKind `json:"kind"`
	Message string    `json:"message"`          // what is wrong; never holds a secret
	Remedy  string    `json:"remedy,omitempty"` // what to do about it
}

// Error prints the fault as FILE:LINE:COLUMN: message; remedy.
func (f Fault) Error() string {
	text := f.Message
	if f.Remedy != "" {
		text += "; " + f.Remedy
	}
	if f.Line == 0 {
		return text
	}
	return fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Column, text)
}

// Faults is every fault of one file, in the order of the file. It is the error
// that Parse returns.
type Faults []Fault

// Error prints one fault on each line.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.Error()
	}
	return strings.Join(lines, "\n")
}

// maxFaults bounds what one file can make us say (and search suggestions for).
const maxFaults = 500

// collector gathers the faults of one file.
type collector struct {
	file   string
	faults Faults
	more   int // faults found after maxFaults
}

// full reports whether another fault would only be counted.
func (c *collector) full() bool { return len(c.faults) >= maxFaults }

func (c *collector) add(at position, f Fault) {
	if c.full() {
		c.more++
		return
	}
	f.File, f.Line, f.Column = c.file, at.line, at.column
	c.faults = append(c.faults, f)
}

// at reports whether a fault is known for the key itself.
func (c *collector) at(key string) bool {
	return slices.ContainsFunc(c.faults, func(f Fault) bool { return f.Key == key })
}

// under reports whether a fault is already known for the key or for one below it,
// so that a follow-up of the same mistake is not reported again. Faults of the kinds
// in but do not count.
func (c *collector) under(key string, but ...FaultKind) bool {
	return slices.ContainsFunc(c.faults, func(f Fault) bool {
		return !slices.Contains(but, f.Kind) && (f.Key == key || strings.HasPrefix(f.Key, key+".") || strings.HasPrefix(f.Key, key+"["))
	})
}

// err returns the faults in the order of the file, or nil when there are none.
func (c *collector) err() error {
	if len(c.faults) == 0 {
		return nil
	}
	slices.SortStableFunc(c.faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	if c.more > 0 {
		last := c.faults[len(c.faults)-1]
		c.faults = append(c.faults, Fault{File: c.file, Line: last.Line, Column: last.Column, Kind: FaultSyntax,
			Message: fmt.Sprintf("and %d more faults that are not listed", c.more),
			Remedy:  "correct these first"})
	}
	return c.faults
}
