// Package dialogue is what a person answers, line by line, to have the silent box of test/site
// installed: the same for a virtual box and for a terminal of a test, so that what is waited
// for on a box is known to be asked.
//
//	err := dialogue.Hold(dialogue.ToConsent, sees, types)
package dialogue

import "fmt"

// Turn is a question and its answer.
type Turn struct {
	After string // shown before the question: a page's title, or what is wrong; empty: not looked at
	Asks  string // what stands before the cursor
	Types string // without Enter
}

const (
	number  = "Number: "
	keeps1  = "Number (Enter keeps 1): "
	keeps2  = "Number (Enter keeps 2): "
	keepsIt = "Numbers, with commas (Enter keeps 1): "
)

// ToConsent answers with what is offered, but for the network, of which there is none, and
// the node's name, which is mistyped first. On the last page of questions the person goes
// back once: what was answered is still there. The consent is given to the disk DISK0001.
var ToConsent = []Turn{
	{"== Welcome", keeps1, ""},
	{"", "Keyboard (Enter keeps us): ", ""},
	{"== Disk", number, "1"},
	{"1. Continue", number, "1"},
	{"== Encryption", keepsIt, ""},
	{"Recovery key", keepsIt, ""},
	{"", "Encrypt it to the office's age key: ", ""},
	{"== Secure Boot", keeps1, ""},
	{"== Network", keeps1, "2"},
	{"== Node", "Name (Enter keeps stek-{serial}): ", "hall 7"},
	{"! a host name has letters, digits and dashes only", "Name (Enter keeps stek-{serial}): ", "hall-7"},
	{"", "Site: ", "<"},
	{"== Network", keeps2, ""},
	{"== Node", "Name (Enter keeps hall-7): ", ""},
	{"", "Site: ", ""},
	{"", "Time zone (Enter keeps UTC): ", ""},
	{"", "SSH key of who may log in: ", ""},
	{"In its cluster", keeps1, ""},
	{"When it is done", keeps1, ""},
	{"== Review", "Type the end of the disk's serial number, 0001: ", "0001"},
	{"1. Install", number, "1"},
}

// What is shown once the steps are at work, up to the end.
const (
	AsksForKey = "Write it down, then type its last eight letters: "
	Installed  = "This machine is installed."
)

// Hold answers each question when it is asked. sees waits for a text behind what was seen
// before; types types a line and Enter.
func Hold(turns []Turn, sees, types func(text string) error) error {
	for i, turn := range turns {
		for _, text := range []string{turn.After, turn.Asks} {
			if text == "" {
				continue
			}
			if err := sees(text); err != nil {
				return fmt.Errorf("turn %d of %d: waiting for %q: %w", i+1, len(turns), text, err)
			}
		}
		if err := types(turn.Types); err != nil {
			return fmt.Errorf("turn %d of %d: answering %q: %w", i+1, len(turns), turn.Asks, err)
		}
	}
	return nil
}
