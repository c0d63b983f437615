package disk

import (
	"fmt"
	"strings"

	"github.com/stek-edge/stek/installer/hardware"
)

// StateLabel is the LUKS2 label of an installed box's private volume.
const StateLabel = "stek-state"

// HoldsStek tells whether an installed stek is on a disk: a partition "state" with
// the encrypted volume, or the partition names "root-a" and "state" together, which
// no other system uses. The names alone count as well, because the header of an
// encrypted volume can be damaged and still be restored from its backup.
func HoldsStek(d hardware.Disk) bool {
	named := map[string]hardware.Partition{}
	for _, p := range d.Partitions {
		named[p.Name] = p
	}
	state, ok := named[State]
	if !ok {
		return false
	}
	_, root := named[RootA]
	return root || (state.Content == "crypto_LUKS" && state.Label == StateLabel)
}

// Losses lists, in words, everything that is lost when a disk is written. An empty
// list means that the disk is empty.
func Losses(d hardware.Disk) []string {
	var out []string
	if HoldsStek(d) {
		out = append(out, "an installed stek with its data")
	}
	for _, p := range d.Partitions {
		name := fmt.Sprintf("partition %d", p.Number)
		if p.Name != "" {
			name += fmt.Sprintf(" %q", p.Name)
		}
		name += ", " + hardware.Size(p.Size) + ": " + contentWords(p.Content, p.Label)
		if len(p.Remains) > 0 {
			name += ", and remains of " + words(p.Remains)
		}
		out = append(out, name)
	}
	if d.Content != "" {
		out = append(out, "the whole disk: "+contentWords(d.Content, ""))
	}
	if len(d.Remains) > 0 {
		out = append(out, "outside the partitions: remains of "+words(d.Remains))
	}
	return out
}

// Members lists what on a disk belongs to something that may reach over several
// disks (LVM, RAID, ZFS): erasing this disk can break what lies on another one.
func Members(d hardware.Disk) []string {
	var out []string
	add := func(where string, content ...string) {
		for _, c := range content {
			if shared[c] {
				out = append(out, where+" is "+contentWords(c, ""))
			}
		}
	}
	add("the whole disk", d.Content)
	for _, p := range d.Partitions {
		add(fmt.Sprintf("partition %d", p.Number), append([]string{p.Content}, p.Remains...)...)
	}
	for _, c := range d.Remains {
		if shared[c] {
			out = append(out, "outside the partitions are remains of "+words([]string{c}))
		}
	}
	return out
}

// OtherInstalls lists the disks besides the chosen one that hold an installed stek.
// They confuse the firmware's boot menu and whoever looks for the right disk later.
func OtherInstalls(inv *hardware.Inventory, chosen hardware.Disk) []hardware.Disk {
	var out []hardware.Disk
	for _, d := range inv.Disks {
		if d.Path != chosen.Path && !d.Boot && HoldsStek(d) {
			out = append(out, d)
		}
	}
	return out
}

var shared = map[string]bool{
	"LVM2_member": true, "linux_raid_member": true, "zfs_member": true, "isw_raid_member": true, "ddf_raid_member": true, "bcache": true, "btrfs": true,
}

// inWords are the names of contents that a technician would not know by blkid's.
var inWords = map[string]string{
	"LVM2_member":       "part of an LVM volume group",
	"linux_raid_member": "part of a Linux RAID",
	"zfs_member":        "part of a ZFS pool",
	"isw_raid_member":   "part of an Intel firmware RAID",
	"ddf_raid_member":   "part of a firmware RAID",
	"crypto_LUKS":       "an encrypted volume (LUKS)",
	"BitLocker":         "an encrypted Windows volume (BitLocker)",
	"ntfs":              "a Windows file system (ntfs)",
	"vfat":              "a FAT file system",
	"swap":              "swap space",
	hardware.Unknown:    "data that nothing recognises",
	"":                  "nothing that is recognised",
}

func contentWords(content, label string) string {
	s, ok := inWords[content]
	if !ok {
		s = "a file system (" + content + ")"
	}
	if label != "" {
		s += fmt.Sprintf(" labelled %q", label)
	}
	return s
}

func words(contents []string) string {
	var out []string
	for _, c := range contents {
		w, ok := inWords[c]
		if !ok {
			w = c
		}
		out = append(out, strings.TrimPrefix(strings.TrimPrefix(w, "part of "), "a "))
	}
	return strings.Join(out, ", ")
}
