package vm

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Firmware is what a box starts with.
type Firmware int

// The kinds of firmware.
const (
	BIOS           Firmware = iota // SeaBIOS; with Kernel set, the kernel is started at once
	UEFI                           // OVMF without Secure Boot
	UEFISecureBoot                 // OVMF built for Secure Boot, with SMM protecting the variables
)

// SecureBootKeys chooses the variables that a new UEFISecureBoot machine starts with.
type SecureBootKeys int

// The kinds of variables.
const (
	NoKeys        SecureBootKeys = iota // setup mode: whoever comes first enrols
	MicrosoftKeys                       // as sold: Microsoft's keys, Secure Boot on
)

// Bus is what a disk is attached to.
type Bus string

// The buses.
const (
	Virtio Bus = "virtio"
	NVMe   Bus = "nvme"
	SATA   Bus = "sata"
	USB    Bus = "usb" // a removable stick, which can be pulled and plugged
	SCSI   Bus = "scsi"
)

// Disk is one disk or stick of a machine.
type Disk struct {
	Name      string // on this machine: letters, digits, dashes; "disk0", "disk1" by itself
	Path      string // the image file
	Format    string // "raw" (by itself) or "qcow2" (an overlay)
	Bus       Bus    // Virtio by itself
	Serial    string // as the guest sees it
	Model     string // SATA and SCSI only: QEMU fixes it on the others
	BlockSize int    // logical and physical sector size in bytes; 0 is QEMU's 512
	ReadOnly  bool
	Unplugged bool // USB only: not there at power-on, until Plug
	BootIndex int  // 0, as on a real box: none
	// Flushes hands the guest's flushes on to the image file, for somebody who looks at
	// them; see blockdev.
	Flushes bool
	// BadRead and BadWrite are bytes from the start of the disk: reading or writing the
	// sector there fails, as on a worn disk. 0: none.
	BadRead, BadWrite int64
	// ReadRate and WriteRate are what the disk does at most, bytes per second. 0: as the
	// machine below it.
	ReadRate, WriteRate int64
}

// Machine describes a box. Its zero value with a Dir is a box with 1 GiB of memory, two
// processors and nothing to boot from. The value can be powered on again and again.
type Machine struct {
	// Dir holds what outlives a power cut: vars.fd, tpm/, and for each power-on a
	// directory power-on-NN with the logs. It is made when missing.
	Dir string

	Memory int // MiB; 1024 by itself
	CPUs   int // 2 by itself

	Firmware Firmware
	Keys     SecureBootKeys // for a UEFISecureBoot machine without variables yet
	VarsFrom string         // file of variables to start with, instead of OVMF's own

	Kernel, Initrd, Cmdline string // start this kernel directly, without a boot loader

	Disks []Disk
	NICs  []NIC // none by itself
	TPM   *TPM  // nil: no TPM

	RTC        time.Time // the clock at power-on; zero: the host's
	Screen     bool      // a VGA screen, for Screenshot
	Serial2    bool      // a second serial port, Box.Serial2
	NoReboot   bool      // a guest that reboots powers off instead
	Accel      Accel     // Auto by itself
	Fatal      []string  // regular expressions: a console line that fits ends each Expect
	Outlive    bool      // the box stays on when this program ends; see Box.Detach and Stop
	ExtraFlags []string  // further QEMU arguments
}

// fatalAlways are the console lines after which nothing good comes. A soft lockup is not
// among them: an emulated guest on a busy machine reports it and goes on.
var fatalAlways = []string{`Kernel panic - not syncing`, `BUG: unable to handle`}

var diskName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,30}$`)

// prepared gives the machine with every default filled in and every path absolute, or
// all that is wrong with it at once.
func (m Machine) prepared() (Machine, error) {
	var wrong []error
	fault := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	if m.Dir == "" {
		fault("Dir is missing: the firmware's variables and the logs need a place")
	}
	if m.Memory == 0 {
		m.Memory = 1024
	}
	if m.CPUs == 0 {
		m.CPUs = 2
	}
	if m.Kernel == "" && (m.Initrd != "" || m.Cmdline != "") {
		fault("Initrd and Cmdline need a Kernel")
	}
	for _, path := range []*string{&m.Dir, &m.Kernel, &m.Initrd, &m.VarsFrom} {
		if *path == "" {
			continue
		}
		absolute, err := filepath.Abs(*path)
		if err != nil {
			fault("%s: %w", *path, err)
		}
		*path = absolute
	}
	m.Disks = slices.Clone(m.Disks)
	names := map[string]bool{}
	for i := range m.Disks {
		d := &m.Disks[i]
		d.fill(i)
		for _, err := range d.faults() {
			wrong = append(wrong, fmt.Errorf("disk %s: %w", d.Name, err))
		}
		if names[d.Name] {
			fault("disk %s: there are two of that name", d.Name)
		}
		names[d.Name] = true
	}
	for i, nic := range m.NICs {
		if err := nic.fault(); err != nil {
			fault("network card %d: %w", i, err)
		}
	}
	if m.TPM != nil {
		t := *m.TPM
		if t.Dir == "" {
			t.Dir = filepath.Join(m.Dir, "tpm")
		}
		absolute, err := filepath.Abs(t.Dir)
		if err != nil {
			fault("TPM: %w", err)
		}
		t.Dir = absolute
		m.TPM = &t
	}
	if err := errors.Join(wrong...); err != nil {
		return m, fmt.Errorf("this machine cannot be built: %w", err)
	}
	return m, nil
}

func (d *Disk) fill(index int) {
	if d.Name == "" {
		d.Name = fmt.Sprintf("disk%d", index)
	}
	if d.Format == "" {
		d.Format = "raw"
	}
	if d.Bus == "" {
		d.Bus = Virtio
	}
	if d.Bus == NVMe && d.Serial == "" {
		d.Serial = d.Name // the specification demands one, and so does QEMU
	}
	if absolute, err := filepath.Abs(d.Path); err == nil && d.Path != "" {
		d.Path = absolute
	}
}

func (d *Disk) faults() []error {
	var wrong []error
	fault := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	if !diskName.MatchString(d.Name) {
		fault("the name must be letters, digits and dashes")
	}
	if !slices.Contains([]Bus{Virtio, NVMe, SATA, USB, SCSI}, d.Bus) {
		fault("no such bus: %q", d.Bus)
	}
	if d.Format != "raw" && d.Format != "qcow2" {
		fault("no such format: %q", d.Format)
	}
	if info, err := os.Stat(d.Path); err != nil {
		fault("%w", err)
	} else if !info.Mode().IsRegular() {
		fault("%s is not a regular file; real disks are never used", d.Path)
	}
	if d.Model != "" && d.Bus != SATA && d.Bus != SCSI {
		fault("QEMU gives disks on bus %s no model of our choice", d.Bus)
	}
	if d.Unplugged && d.Bus != USB {
		fault("only a stick on bus usb can be plugged in later")
	}
	if d.BlockSize != 0 && d.BlockSize != 512 && d.BlockSize != 4096 {
		fault("block size %d: 512 or 4096", d.BlockSize)
	}
	if strings.ContainsAny(d.Serial+d.Model, ",\n") {
		fault("serial and model must not hold a comma")
	}
	return wrong
}

// disk finds a disk by its name.
func (m Machine) disk(name string) (Disk, bool) {
	i := slices.IndexFunc(m.Disks, func(d Disk) bool { return d.Name == name })
	if i < 0 {
		return Disk{}, false
	}
	return m.Disks[i], true
}
