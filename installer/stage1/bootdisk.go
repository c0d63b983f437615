package stage1

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf16"

	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/hardware"
)

// bootDisk is the disk that the firmware started this kernel from.
type bootDisk struct {
	Device string // /dev/sda
	ESP    string // /dev/sda1
	Root   string // /dev/sda2: the partition whose GUID is the start of the root hash
	State  string // /dev/sda4, or empty when the disk has no state partition
}

// partition is what stage1 wants to know of one entry of a partition table.
type partition struct {
	device, name, guid, typ string
}

// errNoBootDisk says that no disk seen so far can be the booted one; a disk may
// still be on its way.
var errNoBootDisk = errors.New("the disk that the firmware started from is not there")

// pickBootDisk decides which disk was booted. loaderGUID is the GUID of the
// partition that systemd-boot was started from (Boot Loader Interface,
// LoaderDevicePartUUID) and settles it. Without it (a firmware that hides it) the
// disk must be the only one that holds this root.
func pickBootDisk(disks map[string][]partition, loaderGUID, rootGUID string) (bootDisk, error) {
	var found []bootDisk
	for device, parts := range disks {
		d := bootDisk{Device: device}
		var states []string
		for _, p := range parts {
			switch {
			case loaderGUID != "" && p.guid == loaderGUID:
				d.ESP = p.device
			case p.guid == rootGUID:
				d.Root = p.device
			case p.name == disk.State && p.typ == disk.TypeLUKS:
				states = append(states, p.device)
			case loaderGUID == "" && p.name == disk.ESP:
				d.ESP = p.device
			}
		}
		if d.ESP == "" {
			continue
		}
		if d.Root == "" {
			if loaderGUID != "" {
				return bootDisk{}, fmt.Errorf("%s was started from, but holds no root file system that fits this kernel; write the image to it again", device)
			}
			continue
		}
		if len(states) > 1 {
			return bootDisk{}, fmt.Errorf("%s has %d partitions named state; one of them was put there by somebody else, so none is opened", device, len(states))
		}
		if len(states) == 1 {
			d.State = states[0]
		}
		found = append(found, d)
	}
	switch len(found) {
	case 0:
		return bootDisk{}, errNoBootDisk
	case 1:
		return found[0], nil
	}
	var names []string
	for _, d := range found {
		names = append(names, d.Device)
	}
	slices.Sort(names)
	return bootDisk{}, fmt.Errorf("several disks could have been started from (%s) and the firmware does not say which; pull out the others", strings.Join(names, ", "))
}

// readDisks reads the partition table of every whole disk that sysfs shows.
func readDisks(sysfs, dev string) map[string][]partition {
	disks := map[string][]partition{}
	entries, _ := os.ReadDir(filepath.Join(sysfs, "block"))
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, "loop") || strings.HasPrefix(name, "ram") || strings.HasPrefix(name, "dm-") || strings.HasPrefix(name, "zram") {
			continue
		}
		if parts := readTable(filepath.Join(dev, name)); len(parts) > 0 {
			disks[filepath.Join(dev, name)] = parts
		}
	}
	return disks
}

// readTable reads one GPT. A disk without one, or one that cannot be read, has
// nothing for us. Whatever is plugged into the box is read here before anything is
// opened, so the reader is the one that is safe with hostile tables. A table in other
// sectors than the disk's is none to the kernel either.
func readTable(device string) []partition {
	f, err := os.Open(device)
	if err != nil {
		return nil
	}
	defer f.Close()
	sector, err := unix.IoctlGetInt(int(f.Fd()), unix.BLKSSZGET)
	if err != nil {
		sector = 512 // an image file, in a test
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil
	}
	table, err := hardware.ReadTable(f, uint64(size), uint32(sector))
	if err != nil || table.Kind != "gpt" || table.SectorSize != uint32(sector) {
		return nil
	}
	var parts []partition
	for _, p := range table.Partitions {
		parts = append(parts, partition{device: disk.PartitionPath(device, p.Number), name: p.Name, guid: p.GUID, typ: p.TypeGUID})
	}
	return parts
}

// loaderPartition reads the GUID of the partition that the boot loader came from.
// Empty means that the firmware or the loader did not say.
func loaderPartition(efivars string) string {
	for _, name := range []string{"LoaderDevicePartUUID", "StubDevicePartUUID"} {
		if s := readLoaderVariable(efivars, name); s != "" {
			return strings.ToLower(s)
		}
	}
	return ""
}

// loaderVendor is the vendor GUID of the Boot Loader Interface's variables.
const loaderVendor = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"

// readLoaderVariable reads a variable of the Boot Loader Interface: four bytes of
// attributes, then UTF-16LE text.
func readLoaderVariable(efivars, name string) string {
	b, err := os.ReadFile(filepath.Join(efivars, name+"-"+loaderVendor))
	if err != nil || len(b) < 4 {
		return ""
	}
	b = b[4:]
	u := make([]uint16, 0, len(b)/2)
	for i := 0; i+1 < len(b); i += 2 {
		c := uint16(b[i]) | uint16(b[i+1])<<8
		if c == 0 {
			break
		}
		u = append(u, c)
	}
	return string(utf16.Decode(u))
}
