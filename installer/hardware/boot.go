package hardware

import (
	"path/filepath"
	"strings"
)

// loaderPartition is the EFI variable in which systemd-boot and systemd-stub leave
// the GUID of the partition they were started from (Boot Loader Interface).
const loaderPartition = "LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"

// verityRoot is the device-mapper name of the root file system.
const verityRoot = "root"

// markBoot sets Boot on every disk the running system may have been started from:
// the one with the boot loader's partition, the one under the verity root, and
// where neither is known the one mounted on /. Two sticks written from one image
// carry the same GUID; then both are marked, and neither can be erased.
func (r Roots) markBoot(disks []Disk) {
	found := false
	mark := func(d *Disk) { d.Boot, found = true, true }
	if id := strings.ToLower(clean(utf16String(r.efiVariable(loaderPartition)))); id != "" {
		for i := range disks {
			for _, p := range disks[i].Partitions {
				if p.GUID == id {
					mark(&disks[i])
				}
			}
		}
	}
	under := map[string]bool{}
	for _, b := range names(r.Sys, sysBlock) {
		if word(r.Sys, sysBlock, b, "dm/name") == verityRoot {
			r.below(b, under, 0)
		}
	}
	for i := range disks {
		if under[filepath.Base(disks[i].Path)] {
			mark(&disks[i])
		}
	}
	if found {
		return
	}
	for line := range strings.Lines(string(read(filepath.Join(r.Proc, "self/mountinfo")))) {
		m, ok := parseMount(line)
		if !ok || m.point != "/" {
			continue
		}
		under := map[string]bool{}
		if b := filepath.Base(r.devicePath("dev/block", m.device)); b != "." {
			r.below(b, under, 0)
		}
		for i := range disks {
			if under[filepath.Base(disks[i].Path)] {
				mark(&disks[i])
			}
		}
	}
}

// below collects the disks under a block device: of a mapping the devices it maps,
// of a partition its disk.
func (r Roots) below(block string, out map[string]bool, depth int) {
	if depth > 8 { // no real stack is deeper; a loop in a captured tree ends here
		return
	}
	if slaves := names(r.Sys, sysBlock, block, "slaves"); len(slaves) > 0 {
		for _, s := range slaves {
			r.below(s, out, depth+1)
		}
		return
	}
	if exists(r.Sys, "class/block", block, "partition") {
		if parent := filepath.Base(filepath.Dir(r.devicePath("class/block", block))); parent != "." {
			out[parent] = true
		}
		return
	}
	out[block] = true
}

// efiVariable returns the value of an EFI variable, without the four bytes of
// attributes that efivarfs puts before it.
func (r Roots) efiVariable(name string) []byte {
	b := read(filepath.Join(r.EFIVars, name))
	if len(b) < 4 {
		return nil
	}
	return b[4:]
}
