package disk

import (
	"fmt"
	"path"
	"strings"

	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/preseed"
)

// Reason says why one disk was not taken. A disk can have several.
type Reason string

// The reasons. Those from ReasonBoot on hold for every answer file; the ones
// before come from disk.match.
const (
	ReasonSerial     Reason = "serial"
	ReasonModel      Reason = "model"
	ReasonBus        Reason = "bus"
	ReasonMinSize    Reason = "min-size"
	ReasonMaxSize    Reason = "max-size"
	ReasonRotational Reason = "rotational"
	ReasonBoot       Reason = "boot"        // the running system was started from it
	ReasonInUse      Reason = "in-use"      // mounted, swap, part of a mapping or RAID in use
	ReasonReadOnly   Reason = "read-only"   // write-protected
	ReasonUnreadable Reason = "unreadable"  // its content could not be read, so nobody knows what would be lost
	ReasonTooSmall   Reason = "too-small"   // below MinDiskSize
	ReasonSectorSize Reason = "sector-size" // neither 512 nor 4096 bytes
)

// Verdict is what was found about one disk. No reasons means that it could be used.
type Verdict struct {
	Disk    hardware.Disk `json:"disk"`
	Reasons []Reason      `json:"reasons,omitempty"`
	Why     []string      `json:"why,omitempty"` // one sentence for each reason
}

// Select returns the one disk that may be written, or says why there is none. It
// is a pure function. A disk is possible when every given field of want.Match fits
// and nothing is against it (see Reason); exactly one must be possible. What is on
// it may be lost only with want.Erase, and an installed stek only with
// want.Reinstall as well.
//
// A disk whose new table was written by an install that was interrupted looks like
// an installed stek. Whoever keeps the journal knows better: it compares the
// disk's TableGUID with the one it wrote down, and sets Reinstall for that disk.
func Select(inv *hardware.Inventory, want preseed.Disk) (hardware.Disk, *Refusal) {
	if r := badMatch(want.Match); r != nil {
		return hardware.Disk{}, r
	}
	verdicts := make([]Verdict, 0, len(inv.Disks))
	var possible []hardware.Disk
	for _, d := range inv.Disks {
		v := judge(d, want.Match)
		verdicts = append(verdicts, v)
		if len(v.Reasons) == 0 {
			possible = append(possible, d)
		}
	}
	switch {
	case len(inv.Disks) == 0:
		return hardware.Disk{}, noDisk()
	case len(possible) == 0:
		return hardware.Disk{}, noMatch(verdicts, want.Match)
	case len(possible) > 1:
		return hardware.Disk{}, several(verdicts, possible)
	}
	d := possible[0]
	switch {
	case HoldsStek(d) && !(want.Reinstall && want.Erase):
		return hardware.Disk{}, holdsStek(verdicts, d)
	case len(Losses(d)) > 0 && !want.Erase:
		return hardware.Disk{}, holdsData(verdicts, d)
	}
	return d, nil
}

// judge collects everything that speaks against a disk.
func judge(d hardware.Disk, m preseed.Match) Verdict {
	v := Verdict{Disk: d}
	no := func(r Reason, format string, args ...any) {
		v.Reasons = append(v.Reasons, r)
		v.Why = append(v.Why, fmt.Sprintf(format, args...))
	}
	if m.Serial != "" && !glob(m.Serial, d.Serial) {
		if d.Serial == "" {
			no(ReasonSerial, "it tells no serial number, disk.match.serial asks for %q", m.Serial)
		} else {
			no(ReasonSerial, "its serial number does not fit disk.match.serial %q", m.Serial)
		}
	}
	if m.Model != "" && !glob(m.Model, d.Model) && !glob(m.Model, d.Name()) {
		no(ReasonModel, "its model does not fit disk.match.model %q", m.Model)
	}
	if m.Bus != "" && m.Bus != d.Bus {
		no(ReasonBus, "it is a %s disk, disk.match.bus asks for %s", d.Bus, m.Bus)
	}
	if n := uint64(m.MinSize); n != 0 && d.Size < n {
		no(ReasonMinSize, "it has %s, disk.match.min-size asks for %s", hardware.Size(d.Size), hardware.Size(n))
	}
	if n := uint64(m.MaxSize); n != 0 && d.Size > n {
		no(ReasonMaxSize, "it has %s, disk.match.max-size allows %s", hardware.Size(d.Size), hardware.Size(n))
	}
	if m.Rotational != nil && *m.Rotational != d.Rotational {
		no(ReasonRotational, "disk.match.rotational is %v, the disk says %v", *m.Rotational, d.Rotational)
	}
	if d.Boot {
		no(ReasonBoot, "the running system was started from it")
	}
	if len(d.InUse) > 0 {
		no(ReasonInUse, "it is in use: %s", strings.Join(d.InUse, ", "))
	}
	if d.ReadOnly {
		no(ReasonReadOnly, "it is write-protected")
	}
	if d.Fault != "" {
		no(ReasonUnreadable, "it could not be read (%s), so nobody knows what would be lost", d.Fault)
	}
	if d.Size < MinDiskSize {
		no(ReasonTooSmall, "it has %s, an installed box needs %s", hardware.Size(d.Size), hardware.Size(MinDiskSize))
	}
	if d.SectorSize != 512 && d.SectorSize != 4096 {
		no(ReasonSectorSize, "its sectors have %d bytes, only 512 and 4096 are supported", d.SectorSize)
	}
	return v
}

// glob matches a serial number or model against a pattern of *, ? and [a-z]. Upper
// and lower case are the same, since people copy these from labels; a slash is a
// character like any other.
func glob(pattern, s string) bool {
	ok, err := path.Match(globText(pattern), globText(s))
	return err == nil && ok
}

func globText(s string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimSpace(s)), "/", "\x00")
}

// badMatch refuses a pattern that can match nothing because it is malformed.
func badMatch(m preseed.Match) *Refusal {
	for _, f := range []struct{ key, pattern string }{{"disk.match.serial", m.Serial}, {"disk.match.model", m.Model}} {
		if _, err := path.Match(f.pattern, ""); err != nil {
			return &Refusal{
				Kind:    RefusedPattern,
				Message: fmt.Sprintf("%s is not a valid pattern: %q", f.key, f.pattern),
				Remedy:  "close every [ with a ], and write \\[ for a bracket that is part of the name",
			}
		}
	}
	return nil
}
