package site

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"filippo.io/age"

	"github.com/stek-edge/stek/test/vm"
)

// Options say what the site is like.
type Options struct {
	Stek    string // the program
	Image   string // the image file
	Dir     string // for disks, firmware variables, TPM and logs
	Answers string // more lines of the answer file, at its top level
	Unlock  string // encryption.unlock's list, by itself "tpm2"
	PIN     string // of the TPM's key, by itself none
	Node    string // more lines of node's mapping, indented by two blanks
	K3s     string // more keys of k3s' mapping, such as "disable: [traefik]"

	Firmware vm.Firmware // by itself vm.UEFI
	NoTPM    bool
	Silent   bool   // no answer file: a person is asked
	Network  string // network's mapping in one line, by itself "{offline: true}"
	DiskSize int64  // bytes, by itself 20 GB
}

// Site is one virtual site.
type Site struct {
	Options
	Machine  vm.Machine
	Recovery *age.X25519Identity // the office's key: recovery keys are encrypted to it
	Stick    string              // image file of the stick
	Disk     string              // image file of the box's disk
	// Processor says, for a person, whether the machines run under KVM, and why.
	Processor string
}

// Password is root's on the console of every box of a site. The answer file has its
// hash, in the form of crypt(3).
const (
	Password     = "stek"
	passwordHash = "$6$stektest$.og3TwRJP/UXjKaWtzZv4d7d9N/xigNy7ChjY7g34igk2JUhiY8hrdaaGQVerRm/uEFxM7bBIm0ese.LklrZI."
)

// The serial numbers of the box and of its disk.
const (
	BoxSerial  = "BOX0001"
	DiskSerial = "DISK0001"
)

// New prepares a site: the stick with its answer file, and a box with an empty disk.
func New(ctx context.Context, o Options) (*Site, error) {
	if o.Unlock == "" {
		o.Unlock = "tpm2"
	}
	if o.Firmware == vm.BIOS {
		o.Firmware = vm.UEFI
	}
	if o.Network == "" {
		o.Network = "{offline: true}"
	}
	if o.DiskSize == 0 {
		o.DiskSize = 20 << 30
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, err
	}
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, err
	}
	s := &Site{Options: o, Recovery: identity, Stick: filepath.Join(o.Dir, "stick.img"), Disk: filepath.Join(o.Dir, "disk.img")}
	if err := vm.CopyDisk(ctx, o.Image, s.Stick); err != nil {
		return nil, err
	}
	if !o.Silent {
		if err := s.Answer(ctx, s.AnswerFile()); err != nil {
			return nil, err
		}
	}
	if err := vm.NewDisk(s.Disk, o.DiskSize); err != nil {
		return nil, err
	}
	s.Machine = vm.Machine{
		Dir: filepath.Join(o.Dir, "box"), Memory: 3072, Firmware: o.Firmware, Screen: true, Fatal: Fatal,
		ExtraFlags: []string{"-smbios", "type=1,manufacturer=stek,product=virtual box,serial=" + BoxSerial},
		Disks: []vm.Disk{
			{Name: "stick", Path: s.Stick, Bus: vm.USB, Serial: "STICK0001"},
			{Name: "disk", Path: s.Disk, Bus: vm.NVMe, Serial: DiskSerial},
		},
	}
	if !o.NoTPM {
		s.Machine.TPM = &vm.TPM{}
	}
	return s, s.chooseAccel(ctx)
}

// Fatal are console lines after which waiting for an installation or a start is no use.
var Fatal = []string{`This machine was not installed`, `This machine cannot start`}

// AnswerFile is the text of the site's answer file.
func (s *Site) AnswerFile() string {
	pin := ""
	if s.PIN != "" {
		pin = fmt.Sprintf("  tpm2: {pin: %q}\n", s.PIN)
	}
	return fmt.Sprintf(`stek: 1
node:
  name: demo
  admin: {password-hash: "%s"}
%sdisk:
  match: {serial: "%s"}
  erase: true
encryption:
  unlock: [%s]
%s  recovery: {recipient: "%s"}
network: %s
k3s: {role: server, %s}
on-finish: reboot
%s`, passwordHash, s.Node, DiskSerial, s.Unlock, pin, s.Recovery.Recipient(), s.Network, s.K3s, s.Options.Answers)
}

// Answer puts an answer file on the stick.
func (s *Site) Answer(ctx context.Context, text string) error {
	file := filepath.Join(s.Dir, "preseed.yaml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return err
	}
	return s.stek(ctx, "image", "customize", s.Stick, "--preseed", file)
}

// AnswerFrom puts a file on the stick that says where the answers are fetched from.
func (s *Site) AnswerFrom(ctx context.Context, text string) error {
	file := filepath.Join(s.Dir, "preseed.url")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return err
	}
	return s.stek(ctx, "image", "customize", s.Stick, "--preseed-url", file)
}

// Fetch reads a file from the stick, as a person would on a laptop.
func (s *Site) Fetch(ctx context.Context, name, to string) error {
	return s.stek(ctx, "image", "fetch", s.Stick, name, to)
}

func (s *Site) stek(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, s.Stek, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("stek %s: %w: %s", args[0]+" "+args[1], err, out)
	}
	return nil
}
