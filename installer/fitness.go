package installer

import (
	"fmt"
	"strings"

	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/preseed"
)

// Finding is what one part of a machine is good for, in words for the person at it.
type Finding struct {
	Part   string `json:"part"` // Part…: which front ends have a name for
	State  Light  `json:"state"`
	Words  string `json:"words"`
	Remedy string `json:"remedy,omitempty"` // what to do, where something is to be done
}

// Light is how a finding is to be taken.
type Light string

// The lights: go on, go on with less, stop.
const (
	Green  Light = "green"
	Yellow Light = "yellow"
	Red    Light = "red"
)

// The parts of a machine that are looked at, in the order in which they are told.
const (
	PartMachine    = "machine"
	PartFirmware   = "firmware"
	PartMemory     = "memory"
	PartTPM        = "tpm"
	PartSecureBoot = "secure-boot"
	PartDisks      = "disks"
	PartNetwork    = "network" // cards for a cable
	PartRadio      = "radio"
)

// Fitness looks at everything an installation needs, before anything is asked. It is a
// pure function, and what is red here is what Make refuses whatever the answers are.
func Fitness(inv *hardware.Inventory) []Finding {
	return []Finding{
		{Part: PartMachine, State: Green, Words: Box(inv.Board).words()},
		firmwareFitness(inv), memoryFitness(inv), tpmFitness(inv.TPM), secureBootFitness(inv.Firmware), disksFitness(inv), networkFitness(inv.NICs), radioFitness(inv.NICs),
	}
}

func firmwareFitness(inv *hardware.Inventory) Finding {
	if refused := refuseFirmware(inv); refused != nil {
		return Finding{PartFirmware, Red, refused.Message, refused.Remedy}
	}
	return Finding{Part: PartFirmware, State: Green, Words: "UEFI"}
}

func memoryFitness(inv *hardware.Inventory) Finding {
	if refused := refuseMemory(inv); refused != nil {
		return Finding{PartMemory, Red, refused.Message, refused.Remedy}
	}
	return Finding{Part: PartMemory, State: Green, Words: hardware.Size(inv.Memory)}
}

func tpmFitness(t hardware.TPM) Finding {
	if why := unusableTPM(t); why != nil {
		return Finding{PartTPM, Yellow, "no usable TPM: " + why.Message, why.Remedy}
	}
	return Finding{Part: PartTPM, State: Green, Words: strings.TrimSpace("TPM 2.0 " + t.Vendor)}
}

func secureBootFitness(f hardware.Firmware) Finding {
	switch {
	case f.SecureBoot:
		return Finding{Part: PartSecureBoot, State: Green, Words: "on"}
	case f.SetupMode:
		return Finding{PartSecureBoot, Yellow, "off, and its keys can be enrolled", "choose to enrol the image's keys"}
	}
	return Finding{PartSecureBoot, Yellow, "off", "a changed start-up is noticed only in part; switch it on in the firmware for more"}
}

func disksFitness(inv *hardware.Inventory) Finding {
	possible := 0
	for _, c := range disk.Choices(inv) {
		if len(c.Reasons) == 0 && !c.Twin {
			possible++
		}
	}
	words := fmt.Sprintf("%d found, %d can be used", len(inv.Disks), possible)
	if possible > 0 {
		return Finding{Part: PartDisks, State: Green, Words: words}
	}
	return Finding{PartDisks, Red, words, "the list of disks says what is against each"}
}

func networkFitness(cards []hardware.NIC) Finding {
	var names []string
	for _, n := range cards {
		if n.Type != string(preseed.Wireless) {
			names = append(names, fmt.Sprintf("%s (%s)", n.Name, n.Type))
		}
	}
	if len(names) == 0 {
		return Finding{PartNetwork, Yellow, "no network card for a cable", "a node works without one; for a network by cable, fit a card that Linux knows"}
	}
	return Finding{Part: PartNetwork, State: Green, Words: strings.Join(names, ", ")}
}

func radioFitness(cards []hardware.NIC) Finding {
	f := Finding{Part: PartRadio, State: Green}
	var all []string
	for _, n := range cards {
		if n.Type != string(preseed.Wireless) {
			continue
		}
		words := n.Name
		if n.Blocked != "" {
			words += map[string]string{hardware.BlockedHard: ", switched off by its switch or the firmware", hardware.BlockedSoft: ", switched off by a program or a key (rfkill)"}[n.Blocked]
			f.State, f.Remedy = Yellow, "for WiFi, switch it on: at the machine, or in the firmware's menu"
		}
		all = append(all, words)
	}
	f.Words = strings.Join(all, "; ")
	if len(all) == 0 {
		f.Words = "none" // as most servers: nothing that a person should stop at
	}
	return f
}

// Suggest is what a person at the machine is offered as answers, by the keys of the answer
// file: the way to open the disk that this machine has and that needs nobody, and a
// recovery key that is shown, since there may be no office.
func Suggest(inv *hardware.Inventory) map[string][]string {
	unlock := "tpm2"
	if unusableTPM(inv.TPM) != nil {
		unlock = "passphrase"
	}
	return map[string][]string{"encryption.unlock": {unlock}, "encryption.recovery.show": {"true"}}
}
