package hardware

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Look takes the inventory of the machine whose system files are at roots. It
// reads, and never writes. The error is about the machine as a whole (no sysfs,
// the context ended); what one disk does not tell is in that disk's Fault.
func Look(ctx context.Context, roots Roots) (*Inventory, error) {
	disks, err := roots.disks(ctx)
	if err != nil {
		return nil, fmt.Errorf("looking at the machine: %w", err)
	}
	roots.markBoot(disks)
	return &Inventory{
		Arch:     runtime.GOARCH,
		Board:    roots.board(),
		Firmware: roots.firmware(),
		CPU:      roots.cpu(),
		Memory:   roots.memory(),
		TPM:      roots.tpm(),
		Disks:    disks,
		NICs:     roots.nics(),
	}, nil
}

// Identify returns what a disk says of itself, by the path of its node and
// without reading its content: Path, serial, model, size and the like.
func Identify(roots Roots, node string) (Disk, error) {
	real, err := filepath.EvalSymlinks(node)
	if err != nil {
		return Disk{}, fmt.Errorf("looking for the disk %s: %w", node, err)
	}
	return IdentifyBlock(roots, filepath.Base(real))
}

// IdentifyBlock is Identify by the kernel's name of the disk, such as sda. It is
// for asking, just before writing, whether what is open still is the disk that was
// chosen.
func IdentifyBlock(roots Roots, name string) (Disk, error) {
	if d, ok := roots.identify(name); ok {
		return d, nil
	}
	return Disk{}, fmt.Errorf("looking for the disk %s: %w", name, os.ErrNotExist)
}

// SameDevice tells whether two descriptions are of one physical disk, and if not,
// what differs. Paths are not compared: they change from boot to boot.
func SameDevice(a, b Disk) (differs string, same bool) {
	for _, f := range []struct {
		name string
		a, b any
	}{
		{"serial", a.Serial, b.Serial},
		{"wwn", a.WWN, b.WWN},
		{"model", a.Model, b.Model},
		{"bus", a.Bus, b.Bus},
		{"size", a.Size, b.Size},
		{"sector size", a.SectorSize, b.SectorSize},
	} {
		if f.a != f.b {
			return fmt.Sprintf("%s was %v and is %v", f.name, f.a, f.b), false
		}
	}
	return "", true
}

// board reads SMBIOS, or the device tree where there is one.
func (r Roots) board() Board {
	dmi := filepath.Join(r.Sys, "class/dmi/id")
	b := Board{
		Vendor:  filledIn(word(dmi, "sys_vendor")),
		Product: filledIn(word(dmi, "product_name")),
		Serial:  filledIn(word(dmi, "product_serial")),
	}
	if b == (Board{}) {
		b.Product = clean(string(read(filepath.Join(r.Proc, "device-tree/model"))))
		b.Serial = clean(string(read(filepath.Join(r.Proc, "device-tree/serial-number"))))
		if strings.HasPrefix(b.Product, raspberryPi) {
			b.Vendor = raspberryPi
		}
	}
	return b
}

const raspberryPi = "Raspberry Pi"

// placeholders are what makers leave in SMBIOS when they fill in nothing. A node
// named after its serial must not be named one of these.
var placeholders = []string{
	"to be filled by o.e.m.", "to be filled by oem", "default string", "system serial number", "system manufacturer",
	"system product name", "not specified", "not applicable", "not available", "none", "n/a", "na", "o.e.m.", "oem",
	"unknown", "invalid", "123456789", "0123456789", "1234567890", "0", "00000000", "xxxxxxxx", "serial number", "empty",
}

func filledIn(s string) string {
	if slices.Contains(placeholders, strings.ToLower(s)) {
		return ""
	}
	return s
}

func (r Roots) firmware() Firmware {
	dmi := filepath.Join(r.Sys, "class/dmi/id")
	f := Firmware{Type: "bios", Vendor: filledIn(word(dmi, "bios_vendor")), Version: filledIn(word(dmi, "bios_version"))}
	switch model := clean(string(read(filepath.Join(r.Proc, "device-tree/model")))); {
	case exists(r.Sys, "firmware/efi"):
		f.Type = "uefi"
	case strings.HasPrefix(model, raspberryPi):
		f.Type = "raspberry-pi"
	}
	// UEFI 2.10, 3.3: both are one byte, of the global variable GUID.
	on := func(name string) bool {
		v := r.efiVariable(name + "-8be4df61-93ca-11d2-aa0d-00e098032b8c")
		return len(v) == 1 && v[0] == 1
	}
	f.SecureBoot, f.SetupMode = on("SecureBoot"), on("SetupMode")
	return f
}

// armCores are the names of the cores of boards in use; ARM's cpuinfo gives numbers.
var armCores = map[string]string{
	"0xd03": "Cortex-A53", "0xd04": "Cortex-A35", "0xd05": "Cortex-A55", "0xd07": "Cortex-A57",
	"0xd08": "Cortex-A72", "0xd09": "Cortex-A73", "0xd0a": "Cortex-A75", "0xd0b": "Cortex-A76", "0xd0c": "Neoverse-N1",
}

func (r Roots) cpu() CPU {
	var c CPU
	for line := range strings.Lines(string(read(filepath.Join(r.Proc, "cpuinfo")))) {
		key, value, _ := strings.Cut(line, ":")
		key, value = strings.TrimSpace(key), clean(value)
		switch key {
		case "processor":
			c.Cores++
		case "model name":
			c.Model = strings.Join(strings.Fields(value), " ")
		case "CPU part":
			if c.Model == "" {
				c.Model = armCores[value]
			}
		case "flags", "Features":
			c.AES = slices.Contains(strings.Fields(value), "aes")
		}
	}
	return c
}

func (r Roots) memory() uint64 {
	for line := range strings.Lines(string(read(filepath.Join(r.Proc, "meminfo")))) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == "MemTotal:" {
			var kib uint64
			if _, err := fmt.Sscan(f[1], &kib); err == nil {
				return kib << 10
			}
		}
	}
	return 0
}
