package vm

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// wiring is where the parts of one power-on meet: sockets and files that only exist
// while the box runs.
type wiring struct {
	accel   Accel // KVM or TCG, never Auto
	code    string
	vars    string
	qmp     string
	serial  string
	serial2 string
	tpm     string
	logs    string
	nics    []string // -netdev values, one for each card
}

// args gives QEMU's arguments for a prepared machine. It is a pure function, so that
// what a machine turns into can be read in a golden file.
func (m Machine) args(w wiring) []string {
	a := []string{"-name", "stek", "-no-user-config", "-nodefaults", "-display", "none", "-S"}
	a = append(a, w.accel.args()...)
	a = append(a, "-machine", m.machineType(), "-smp", strconv.Itoa(m.CPUs), "-m", strconv.Itoa(m.Memory))
	if m.RTC.IsZero() {
		a = append(a, "-rtc", "base=utc")
	} else {
		a = append(a, "-rtc", "base="+m.RTC.UTC().Format("2006-01-02T15:04:05"))
	}
	a = append(a, m.firmwareArgs(w)...)
	a = append(a, "-chardev", socketChardev("qmp", w.qmp, ""), "-mon", "chardev=qmp,mode=control")
	a = append(a, "-chardev", socketChardev("serial", w.serial, filepath.Join(w.logs, "serial.raw")), "-serial", "chardev:serial")
	if m.Serial2 {
		a = append(a, "-chardev", socketChardev("serial2", w.serial2, filepath.Join(w.logs, "serial2.raw")), "-serial", "chardev:serial2")
	}
	if m.Screen {
		a = append(a, "-vga", "std")
	} else {
		a = append(a, "-vga", "none")
	}
	if m.TPM != nil {
		a = append(a, "-chardev", "socket,id=tpm,path="+comma(w.tpm), "-tpmdev", "emulator,id=tpm,chardev=tpm",
			"-device", m.TPM.model()+",tpmdev=tpm")
	}
	a = append(a, m.diskArgs()...)
	if len(m.NICs) == 0 {
		a = append(a, "-nic", "none")
	}
	for i, nic := range m.NICs {
		a = append(a, "-netdev", w.nics[i], "-device", nic.device(i))
	}
	if m.NoReboot {
		a = append(a, "-no-reboot")
	}
	return append(a, m.ExtraFlags...)
}

func (m Machine) machineType() string {
	if m.Firmware == UEFISecureBoot {
		return "q35,smm=on"
	}
	return "q35,smm=off"
}

func (m Machine) firmwareArgs(w wiring) []string {
	var a []string
	if m.Firmware != BIOS {
		a = append(a, "-drive", "if=pflash,unit=0,format=raw,readonly=on,file="+comma(w.code),
			"-drive", "if=pflash,unit=1,format=raw,file="+comma(w.vars))
	}
	if m.Firmware == UEFISecureBoot {
		// Only code in SMM may write the variables; without this a guest's kernel
		// could change PK and db, and a test of Secure Boot would prove nothing.
		a = append(a, "-global", "driver=cfi.pflash01,property=secure,value=on", "-global", "ICH9-LPC.disable_s3=1")
	}
	if m.Kernel != "" {
		a = append(a, "-kernel", m.Kernel)
		if m.Initrd != "" {
			a = append(a, "-initrd", m.Initrd)
		}
		if m.Cmdline != "" {
			a = append(a, "-append", m.Cmdline)
		}
	}
	return a
}

func (m Machine) diskArgs() []string {
	var a []string
	uses := func(bus Bus) bool { return slices.ContainsFunc(m.Disks, func(d Disk) bool { return d.Bus == bus }) }
	if uses(USB) {
		a = append(a, "-device", "qemu-xhci,id=xhci")
	}
	if uses(SCSI) {
		a = append(a, "-device", "virtio-scsi-pci,id=scsi")
	}
	port := 0 // of the six of the chipset's own AHCI controller
	for _, d := range m.Disks {
		if d.throttled() {
			a = append(a, "-object", fmt.Sprintf("throttle-group,id=%s,x-bps-read=%d,x-bps-write=%d", d.rates(), d.ReadRate, d.WriteRate))
		}
		a = append(a, "-blockdev", d.blockdev())
		if d.Unplugged {
			continue
		}
		device := d.device()
		if d.Bus == SATA {
			device += fmt.Sprintf(",bus=ide.%d", port)
			port++
		}
		a = append(a, "-device", device)
	}
	return a
}

// blockdev describes the image file. Flushes are by itself not passed on to the host's disk: what
// the guest has written survives a killed QEMU in the host's page cache anyway, and
// tests on a busy host run many times faster. (So a power cut here loses nothing that
// the guest had handed to its disk; a real disk's volatile cache is not modelled.)
func (d Disk) blockdev() string {
	image := map[string]any{
		"driver": "file", "filename": d.Path, "discard": "unmap", "read-only": d.ReadOnly,
		"cache": map[string]any{"no-flush": !d.Flushes},
	}
	if faults := d.badSectors(); faults != nil {
		image = map[string]any{"driver": "blkdebug", "image": image, "inject-error": faults}
	}
	if d.throttled() {
		image = map[string]any{"driver": "throttle", "throttle-group": d.rates(), "file": image}
	}
	node := map[string]any{
		"driver": d.Format, "node-name": d.Name, "file": image, "discard": "unmap", "read-only": d.ReadOnly,
		"cache": map[string]any{"no-flush": !d.Flushes},
	}
	text, err := json.Marshal(node)
	if err != nil {
		panic("vm: a map of strings and booleans cannot be encoded: " + err.Error())
	}
	return string(text)
}

func (d Disk) throttled() bool { return d.ReadRate > 0 || d.WriteRate > 0 }

func (d Disk) rates() string { return "rates-" + d.Name }

// badSectors are the errors that QEMU's blkdebug injects: from the start on, every time.
func (d Disk) badSectors() []any {
	var faults []any
	for kind, at := range map[string]int64{"read": d.BadRead, "write": d.BadWrite} {
		if at != 0 {
			faults = append(faults, map[string]any{"event": "none", "iotype": kind, "sector": at / 512, "errno": int(unix.EIO)})
		}
	}
	return faults
}

// device gives the -device value, without the place on a SATA controller.
func (d Disk) device() string {
	options := map[Bus]string{
		Virtio: "virtio-blk-pci", NVMe: "nvme", SATA: "ide-hd",
		USB: "usb-storage,bus=xhci.0,removable=on", SCSI: "scsi-hd,bus=scsi.0",
	}[d.Bus] + ",id=" + d.deviceID() + ",drive=" + d.Name
	if d.Serial != "" {
		options += ",serial=" + d.Serial
	}
	switch {
	case d.Model != "" && d.Bus == SATA:
		options += ",model=" + d.Model
	case d.Model != "" && d.Bus == SCSI:
		options += ",product=" + d.Model
	}
	if d.BlockSize != 0 {
		options += fmt.Sprintf(",logical_block_size=%d,physical_block_size=%[1]d", d.BlockSize)
	}
	if d.BootIndex != 0 {
		options += fmt.Sprintf(",bootindex=%d", d.BootIndex)
	}
	return options
}

func (d Disk) deviceID() string { return "dev-" + d.Name }

// socketChardev is a listening socket that does not wait for anyone; log gets all that
// the guest writes, whether someone listens or not.
func socketChardev(id, path, log string) string {
	s := "socket,id=" + id + ",path=" + comma(path) + ",server=on,wait=off"
	if log != "" {
		s += ",logfile=" + comma(log) + ",logappend=on"
	}
	return s
}

// comma doubles commas, as QEMU's option syntax wants it.
func comma(s string) string { return strings.ReplaceAll(s, ",", ",,") }
