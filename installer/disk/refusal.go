package disk

import (
	"fmt"
	"strings"

	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/preseed"
)

// RefusalKind tells why no disk was selected.
type RefusalKind string

// The kinds. The last two name the disk: only consent is missing.
const (
	RefusedPattern   RefusalKind = "pattern"    // a glob in disk.match is malformed
	RefusedNoDisk    RefusalKind = "no-disk"    // the machine shows no disk at all
	RefusedNoMatch   RefusalKind = "no-match"   // something is against every disk
	RefusedSeveral   RefusalKind = "several"    // more than one disk would do
	RefusedHoldsData RefusalKind = "holds-data" // and disk.erase is not set
	RefusedHoldsStek RefusalKind = "holds-stek" // and disk.erase and disk.reinstall are not both set
)

// Refusal says why no disk was selected, for a program (Kind, Reasons) and for a
// person (Message, Why, Remedy).
type Refusal struct {
	Kind    RefusalKind    `json:"kind"`
	Message string         `json:"message"`        // what is the case
	Remedy  string         `json:"remedy"`         // what to do
	Disks   []Verdict      `json:"disks"`          // every disk of the machine
	Disk    *hardware.Disk `json:"disk,omitempty"` // the disk that lacks consent
	Losses  []string       `json:"losses,omitempty"`
}

// Error is the refusal on one line. Text has the list of disks as well.
func (r *Refusal) Error() string { return r.Message + ": " + r.Remedy }

// Text is the refusal as a person reads it, with every disk and what is against it.
func (r *Refusal) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s.\n", upper(r.Message))
	if len(r.Losses) > 0 {
		fmt.Fprintf(&b, "\nOn it:\n")
		for _, l := range r.Losses {
			fmt.Fprintf(&b, "  - %s\n", l)
		}
	}
	if len(r.Disks) > 0 {
		fmt.Fprintf(&b, "\nDisks of this machine:\n")
		for _, v := range r.Disks {
			fmt.Fprintf(&b, "  %s\n", Describe(v.Disk))
			for _, w := range v.Why {
				fmt.Fprintf(&b, "      no: %s\n", w)
			}
			switch {
			case len(v.Why) > 0:
			case HoldsStek(v.Disk):
				fmt.Fprintf(&b, "      could be used, but stek is installed on it\n")
			case len(Losses(v.Disk)) > 0:
				fmt.Fprintf(&b, "      could be used, but is not empty\n")
			default:
				fmt.Fprintf(&b, "      could be used, is empty\n")
			}
		}
	}
	fmt.Fprintf(&b, "\nWhat to do: %s.\n", r.Remedy)
	return b.String()
}

// Describe names a disk on one line, by what is printed on it rather than by its
// path, which changes from boot to boot.
func Describe(d hardware.Disk) string {
	name := d.Name()
	if name == "" {
		name = "disk without a model name"
	}
	serial := "no serial number"
	if d.Serial != "" {
		serial = "serial " + d.Serial
	}
	return fmt.Sprintf("%s, %s, %s, %s, now %s", name, serial, hardware.Size(d.Size), d.Bus, d.Path)
}

func upper(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func noDisk() *Refusal {
	return &Refusal{
		Kind:    RefusedNoDisk,
		Message: "no disk was found in this machine",
		Remedy: "check that a disk is fitted and shows up in the firmware's set-up; " +
			"if the firmware is set to RAID or Intel RST, set it to AHCI, since the disk is hidden behind it otherwise",
	}
}

func noMatch(verdicts []Verdict, m preseed.Match) *Refusal {
	r := &Refusal{Kind: RefusedNoMatch, Disks: verdicts, Message: "none of the disks can be used"}
	// The remedy depends on whether the answer file or the disk is in the way.
	near := 0 // disks that only disk.match speaks against
	for _, v := range verdicts {
		if only(v.Reasons, fromMatch) {
			near++
		}
	}
	switch {
	case near > 0 && m != (preseed.Match{}):
		r.Message = "no disk fits disk.match"
		r.Remedy = "correct disk.match in the answer file so that it fits one of the disks above, or fit the disk it asks for"
	case hasReason(verdicts, ReasonInUse):
		r.Remedy = "unmount what is in use, or start the machine from the installer stick, which uses no disk"
	case hasReason(verdicts, ReasonTooSmall):
		r.Remedy = fmt.Sprintf("fit a disk of at least %s", hardware.Size(MinDiskSize))
	case hasReason(verdicts, ReasonReadOnly):
		r.Remedy = "remove the write protection: a switch on the card or disk, or a setting in the firmware"
	case hasReason(verdicts, ReasonUnreadable):
		r.Remedy = "check the cable and replace the disk if it keeps failing"
	default:
		r.Remedy = "fit a disk that the system was not started from"
	}
	return r
}

func fromMatch(r Reason) bool {
	switch r {
	case ReasonSerial, ReasonModel, ReasonBus, ReasonMinSize, ReasonMaxSize, ReasonRotational:
		return true
	}
	return false
}

func only(reasons []Reason, is func(Reason) bool) bool {
	for _, r := range reasons {
		if !is(r) {
			return false
		}
	}
	return true
}

func hasReason(verdicts []Verdict, want Reason) bool {
	for _, v := range verdicts {
		for _, r := range v.Reasons {
			if r == want {
				return true
			}
		}
	}
	return false
}

func several(verdicts []Verdict, possible []hardware.Disk) *Refusal {
	r := &Refusal{
		Kind:    RefusedSeveral,
		Message: fmt.Sprintf("%d disks could be used, and stek does not choose between them", len(possible)),
		Disks:   verdicts,
	}
	// A serial number helps only when it is there and is not on two disks, as with
	// cheap USB adapters.
	count := map[string]int{}
	for _, d := range possible {
		count[strings.ToLower(d.Serial)]++
	}
	for _, d := range possible {
		if d.Serial != "" && count[strings.ToLower(d.Serial)] == 1 {
			r.Remedy = fmt.Sprintf("name one in the answer file, for example disk.match.serial: %q", d.Serial)
			return r
		}
	}
	for _, d := range possible[1:] {
		if d.Bus != possible[0].Bus || d.Size != possible[0].Size || d.Name() != possible[0].Name() {
			r.Remedy = "tell them apart in the answer file by disk.match.bus, model, min-size or max-size; they have no serial numbers of their own"
			return r
		}
	}
	r.Remedy = "unplug all but one: nothing in what these disks say of themselves tells them apart"
	return r
}

func holdsData(verdicts []Verdict, d hardware.Disk) *Refusal {
	r := &Refusal{
		Kind: RefusedHoldsData, Disks: verdicts, Disk: &d, Losses: Losses(d),
		Message: fmt.Sprintf("the disk %s is not empty", Describe(d)),
		Remedy:  "if everything on it may be lost, set disk.erase: true in the answer file; otherwise save what is needed first",
	}
	if members := Members(d); len(members) > 0 {
		r.Message = fmt.Sprintf("the disk %s belongs to something that other disks may belong to as well: %s", Describe(d), strings.Join(members, ", "))
		r.Remedy = "if this is an old disk and all of that may be lost, on the other disks too, set disk.erase: true in the answer file; " +
			"otherwise save what is needed first"
	}
	return r
}

func holdsStek(verdicts []Verdict, d hardware.Disk) *Refusal {
	return &Refusal{
		Kind: RefusedHoldsStek, Disks: verdicts, Disk: &d, Losses: Losses(d),
		Message: fmt.Sprintf("stek is already installed on the disk %s", Describe(d)),
		Remedy: "remove the stick and start the box from its disk; only if the installation and all its data may be lost, " +
			"set both disk.erase: true and disk.reinstall: true in the answer file",
	}
}
