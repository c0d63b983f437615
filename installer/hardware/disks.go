package hardware

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// diskName says which block devices are whole disks that a system can live on.
// Loop, RAM, device-mapper, RAID, optical and floppy devices are not, nor are an
// eMMC's boot and RPMB areas (mmcblk0boot0), nor the hidden paths of a multipath
// NVMe disk (nvme0c0n1).
var diskName = regexp.MustCompile(`^(sd[a-z]+|vd[a-z]+|nvme\d+n\d+|mmcblk\d+)$`)

// readLimit is how long the content of one disk may take to read. A dying disk
// holds a read for minutes; the others must not wait for it.
const readLimit = 30 * time.Second

// sysBlock is where disks are looked up, below the sysfs root.
const sysBlock = "block"

// disks finds every disk and what lies on it, sorted by path.
func (r Roots) disks(ctx context.Context) ([]Disk, error) {
	entries, err := os.ReadDir(filepath.Join(r.Sys, sysBlock))
	if err != nil {
		return nil, fmt.Errorf("listing the disks: %w", err)
	}
	type result struct {
		i    int
		disk Disk
	}
	out := []Disk{}
	results := make(chan result, len(entries))
	for _, e := range entries {
		d, ok := r.identify(e.Name())
		if !ok {
			continue
		}
		i := len(out)
		out = append(out, d)
		go func() {
			readContent(&d, r.node(e.Name()))
			results <- result{i, d}
		}()
	}
	timeout := time.NewTimer(readLimit)
	defer timeout.Stop()
	answered := make([]bool, len(out))
	for range out {
		select {
		case res := <-results:
			out[res.i], answered[res.i] = res.disk, true
			continue
		case <-ctx.Done():
			return nil, fmt.Errorf("reading the disks: %w", ctx.Err())
		case <-timeout.C:
		}
		// A read that hangs in the kernel cannot be called back. Its goroutine
		// is left behind and ends when the disk answers or is pulled.
		for i := range out {
			if !answered[i] {
				out[i].Fault = fmt.Sprintf("it did not answer within %v", readLimit)
			}
		}
		break
	}
	users := r.blockUsers()
	for i := range out {
		out[i].InUse = r.inUse(filepath.Base(out[i].Path), users)
		if len(out[i].InUse) == 0 && claimed(out[i].Path) {
			out[i].InUse = []string{out[i].Path + " is held by the kernel or another program"}
		}
	}
	slices.SortFunc(out, func(a, b Disk) int { return cmp.Compare(a.Path, b.Path) })
	return out, nil
}

// identify returns what sysfs says about one disk, without reading the disk. Not
// ok means that it is none, or a card reader without a card.
func (r Roots) identify(name string) (Disk, bool) {
	dir := filepath.Join(r.Sys, sysBlock, name)
	if !diskName.MatchString(name) || word(dir, "hidden") == "1" {
		return Disk{}, false
	}
	// The size attribute counts 512-byte units whatever the sector size is
	// (Linux kernel, Documentation/ABI/stable/sysfs-block).
	size := number(dir, "size") * 512
	if size == 0 {
		return Disk{}, false
	}
	d := Disk{
		Path:       r.node(name),
		ByID:       r.byID(name),
		Size:       size,
		SectorSize: uint32(number(dir, "queue/logical_block_size")),
		Rotational: number(dir, "queue/rotational") == 1,
		Removable:  number(dir, "removable") == 1,
		ReadOnly:   number(dir, "ro") == 1,
	}
	if !validSector(d.SectorSize) {
		d.SectorSize = 512
	}
	device := r.devicePath(sysBlock, name)
	d.Bus = bus(name, device, word(dir, "device/vendor"))
	r.name(&d, dir, device)
	if d.Serial == "" {
		d.Serial = r.udevSerial(word(dir, "dev"))
	}
	return d, true
}

var (
	usbPart = regexp.MustCompile(`(^|/)usb\d+/`)
	ataPart = regexp.MustCompile(`(^|/)ata\d+/`)
)

// bus tells how a disk is attached, from its place in the device tree. A SATA disk
// behind a SAS controller has no ata port there, but the SCSI layer calls its
// vendor "ATA" (SAT, INQUIRY data).
func bus(name, device, vendor string) string {
	switch {
	case strings.HasPrefix(name, "nvme"):
		return "nvme"
	case strings.HasPrefix(name, "mmcblk"):
		return "mmc"
	case strings.HasPrefix(name, "vd"):
		return "virtio"
	case usbPart.MatchString(device):
		return "usb"
	case ataPart.MatchString(device), vendor == "ATA":
		return "sata"
	}
	return "scsi"
}

// name fills in vendor, model, serial and WWN from where each bus keeps them.
func (r Roots) name(d *Disk, dir, device string) {
	dev := filepath.Join(dir, "device")
	switch d.Bus {
	case "nvme":
		d.Model, d.Serial = word(dev, "model"), word(dev, "serial")
		d.WWN = worldWide(word(dir, "wwid"))
	case "virtio":
		d.Serial = word(dir, "serial")
	case "mmc":
		d.Model, d.Serial = word(dev, "name"), word(dev, "serial")
	default:
		d.Vendor, d.Model = word(dev, "vendor"), word(dev, "model")
		if d.Vendor == "ATA" { // a protocol, not a maker
			d.Vendor = ""
		}
		d.WWN = worldWide(word(dev, "wwid"))
		if d.Bus == "usb" {
			d.Serial = r.usbSerial(device)
		}
		if d.Serial == "" {
			d.Serial = vpdSerial(read(filepath.Join(dev, "vpd_pg80")))
		}
	}
}

// worldWide keeps an identifier that is unique in the world. The kernel falls back
// to vendor text ("t10.ATA …", "nvme.8086-…"), which only repeats model and serial.
func worldWide(id string) string {
	if strings.HasPrefix(id, "naa.") || strings.HasPrefix(id, "eui.") || strings.HasPrefix(id, "uuid.") {
		return id
	}
	return ""
}

// vpdSerial decodes the unit serial number page (SPC-4, 7.8.14): four bytes of
// header, the last two of them the length, then ASCII.
func vpdSerial(page []byte) string {
	if len(page) < 4 || page[1] != 0x80 {
		return ""
	}
	n := int(page[2])<<8 | int(page[3])
	return clean(string(page[4:min(4+n, len(page))]))
}

// usbSerial climbs from the disk to the USB device it belongs to. Disks behind a
// hub have several USB devices above them; the nearest is the disk's own.
func (r Roots) usbSerial(device string) string {
	for p := device; p != "." && p != "/" && p != ""; p = path.Dir(p) {
		if exists(r.Sys, p, "idVendor") {
			return word(r.Sys, p, "serial")
		}
	}
	return ""
}

// udevSerial asks udev's database: for an ATA disk of an old kernel that has no vpd_pg80.
func (r Roots) udevSerial(majorMinor string) string {
	if majorMinor == "" {
		return ""
	}
	return r.udev("b"+majorMinor, "ID_SERIAL_SHORT")
}

// byID lists the names below /dev/disk/by-id that lead to a disk.
func (r Roots) byID(name string) []string {
	var out []string
	dir := filepath.Join(r.Dev, "disk/by-id")
	for _, n := range names(dir) {
		if target, err := os.Readlink(filepath.Join(dir, n)); err == nil && filepath.Base(target) == name {
			out = append(out, n)
		}
	}
	return out
}
