package installer

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/preseed"
)

// Outlook is what answers mean for one machine, told to the person who writes them:
// the plan or why there is none, which card gets which address, and what this
// machine can do of what unlocks a disk. Unlike Make it takes parts that this version
// does not carry out, and names them.
type Outlook struct {
	Box      Box            `json:"box"`
	Plan     *Plan          `json:"plan,omitempty"`    // nil when the installation would be refused
	Refusal  *Refused       `json:"refusal,omitempty"` // why
	Links    []LinkPlan     `json:"links"`
	Unlock   []Ability      `json:"unlock"`
	NotBuilt preseed.Faults `json:"not-built,omitempty"` // what an installation of this version refuses
}

// Refused is a Refusal as data.
type Refused struct {
	Message string `json:"message"`
	Remedy  string `json:"remedy,omitempty"`
}

// Ability is one way to unlock a disk, and whether a machine has it.
type Ability struct {
	Method string `json:"method"`
	Asked  bool   `json:"asked"` // the answers name it
	Can    bool   `json:"can"`
	Words  string `json:"words"`
}

// Foresee makes the outlook. Like Make it touches nothing.
func Foresee(a *preseed.Answers, inv *hardware.Inventory, img Image, ids disk.IDs) *Outlook {
	o := &Outlook{Box: Box(inv.Board), Links: planLinks(a.Network, inv), Unlock: Abilities(a, inv), NotBuilt: preseed.NotBuilt(a)}
	plan, err := plan(a, inv, img, ids)
	var disks *disk.Refusal
	switch {
	case errors.As(err, &disks):
		o.Refusal = &Refused{strings.TrimRight(disks.Text(), "\n"), ""}
	case err != nil:
		o.Refusal = &Refused{err.Error(), ""}
		var r *Refusal
		if errors.As(err, &r) {
			o.Refusal = &Refused{r.Message, r.Remedy}
		}
	default:
		o.Plan = plan
	}
	return o
}

// Good reports whether nothing stands in the way but what is not built yet.
func (o *Outlook) Good() bool {
	for _, l := range o.Links {
		if l.Fault != "" {
			return false
		}
	}
	return o.Refusal == nil
}

// Abilities judges every way to unlock a disk that the format knows, for one machine.
func Abilities(a *preseed.Answers, inv *hardware.Inventory) []Ability {
	key, _ := preseed.Lookup("encryption.unlock")
	later := map[string]bool{}
	for _, word := range key.Later {
		later[word] = true
	}
	asked := map[string]bool{}
	for _, method := range a.Encryption.Unlock {
		asked[method] = true
	}
	all := make([]Ability, 0, len(key.Values))
	for _, method := range key.Values {
		can, words := able(method, inv)
		if later[method] && can {
			words += "; stek itself cannot yet in this version"
		}
		all = append(all, Ability{Method: method, Asked: asked[method], Can: can && !later[method], Words: words})
	}
	return all
}

// able tells whether a machine has what a method needs.
func able(method string, inv *hardware.Inventory) (bool, string) {
	pi := inv.Firmware.Type == "raspberry-pi"
	switch method {
	case "tpm2":
		if why := unusableTPM(inv.TPM); why != nil {
			return false, "no usable TPM: " + why.Message
		}
		return true, "the TPM 2.0 is there, and the firmware measures into it"
	case "tang":
		if len(inv.NICs) == 0 {
			return false, "there is no network card to reach a server by"
		}
		return true, "a network card can reach a server before the disk is open"
	case "board":
		if !pi {
			return false, "only a Raspberry Pi has a key of its own in the board"
		}
		return true, "the board has a key of its own, which protects a stolen card, not a stolen board"
	case "key-stick":
		return true, "a second USB stick can carry the key"
	}
	return true, "a person types it at each start"
}

// WriteOutlook writes an outlook for a person.
func WriteOutlook(w io.Writer, o *Outlook) error {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		for i, text := range strings.Split(fmt.Sprintf(format, args...), "\n") {
			fmt.Fprintln(&b, strings.TrimRight(fmt.Sprintf("%-10s %s", first(i, name), text), " "))
		}
	}
	if o.Plan != nil {
		if err := WritePlan(&b, o.Plan); err != nil {
			return err
		}
	} else {
		line("Machine", "%s", o.Box.words())
		line("Refused", "%s", o.Refusal.Message)
		if o.Refusal.Remedy != "" {
			line("To do", "%s", o.Refusal.Remedy)
		}
	}
	for i, l := range o.Links {
		if o.Plan == nil || len(o.Plan.Network.Links) == 0 { // else the plan has told of them
			line(first(i, "Network"), "%s", l.Words)
		}
		if l.Fault != "" {
			line("", "   wrong: %s; %s", l.Fault, l.Remedy)
		}
	}
	for i, m := range o.Unlock {
		line(first(i, "Can unlock"), "%-10s %s", m.Method, verdict(m)+": "+m.Words)
	}
	for i, f := range o.NotBuilt {
		line(first(i, "Later"), "%s, so 'stek install' refuses it", f.Message)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func verdict(m Ability) string {
	switch {
	case m.Can && m.Asked:
		return "yes, and asked for"
	case m.Can:
		return "yes"
	case m.Asked:
		return "no, but asked for"
	}
	return "no"
}

// Machine is what an answer file for several boxes recognises this one by.
func Machine(inv *hardware.Inventory) preseed.Machine {
	m := preseed.Machine{Serial: inv.Board.Serial}
	for _, card := range inv.NICs {
		if card.MAC != "" {
			m.MACs = append(m.MACs, card.MAC)
		}
	}
	return m
}
