package onbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/firmware/uki"
	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/fatmount"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/stage1"
)

// imageFile is what the image says about itself; the builder writes it.
const imageFile = "/usr/share/stek/image.json"

// ImageFacts is the content of the image's own description.
type ImageFacts struct {
	Version   string `json:"version"`
	K3s       string `json:"k3s"`        // version and source, in words
	K3sSource string `json:"k3s-source"` // module | release
}

// ReadImageFacts reads the description of the image that is running.
func ReadImageFacts() (ImageFacts, error) { return readImageFacts(imageFile) }

func readImageFacts(path string) (ImageFacts, error) {
	var facts ImageFacts
	b, err := os.ReadFile(path)
	if err != nil {
		return facts, fmt.Errorf("this is not a stek image: %w", err)
	}
	if err := json.Unmarshal(b, &facts); err != nil {
		return facts, fmt.Errorf("reading %s: %w", path, err)
	}
	return facts, nil
}

// stick is the medium that the machine was started from.
type stick struct {
	disk hardware.Disk
	esp  string // mount point of its FAT partition
	root string // device of its root partition
	size uint64 // of the root partition, bytes

	notes     []string        // of what a power cut had left on it
	installed *installer.Plan // that was carried out
}

// mountStick finds the boot medium in the inventory and mounts its FAT partition.
func mountStick(inv *hardware.Inventory, dir string) (_ *stick, err error) {
	for _, d := range inv.Disks {
		if !d.Boot {
			continue
		}
		s := &stick{disk: d, esp: dir}
		var esp string
		for _, p := range d.Partitions {
			switch p.Name {
			case disk.ESP:
				esp = disk.PartitionPath(d.Path, p.Number)
			case disk.RootA:
				s.root, s.size = disk.PartitionPath(d.Path, p.Number), p.Size
			}
		}
		if esp == "" || s.root == "" {
			return nil, fmt.Errorf("the boot medium %s lacks a partition; write the image to it again", d.Path)
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		if s.notes, err = fatmount.Mount(esp, dir); err != nil && !errors.Is(err, unix.EBUSY) {
			return nil, &installer.MediumError{Medium: installer.TheStick, Err: fmt.Errorf("the FAT partition of the stick: %w", err)}
		}
		return s, nil
	}
	return nil, errors.New("the medium that this machine was started from cannot be found; leave the stick in")
}

func (s *stick) unmount() error { return unix.Unmount(s.esp, 0) }

// image tells the engine what is to be installed.
func (s *stick) image() (installer.Image, error) {
	u, err := uki.Open(filepath.Join(s.esp, filepath.FromSlash(installer.UKIPath)))
	if err != nil {
		return installer.Image{}, installer.BadImage("the kernel on the stick", err)
	}
	signatures, err := u.PCRSignatures()
	if err != nil {
		return installer.Image{}, installer.BadImage("the kernel on the stick", err)
	}
	facts, err := ReadImageFacts()
	if err != nil {
		return installer.Image{}, err
	}
	line, err := os.ReadFile(cmdline)
	if err != nil {
		return installer.Image{}, err
	}
	root, err := stage1.ParseCmdline(string(line))
	if err != nil {
		return installer.Image{}, err
	}
	if err := sameImage(root, u); err != nil {
		return installer.Image{}, err
	}
	_, keys := os.Stat(filepath.Join(s.esp, filepath.FromSlash(installer.AutoEnrolPath), "db.auth"))
	return installer.Image{
		Version: facts.Version, K3s: facts.K3s, K3sSource: facts.K3sSource, RootHash: root.Hash, RootBytes: s.size, HashOffset: root.HashOffset(),
		Signed: len(signatures) > 0, KeysToEnrol: keys == nil,
	}, nil
}

// sameImage makes sure that the UKI which the disk will get starts the root which it
// will get: on a stick whose two partitions were written at different times it
// would not, and the disk would never start.
func sameImage(running stage1.RootSpec, u *uki.Image) error {
	written, err := stage1.ParseCmdline(u.Cmdline())
	if err == nil && written.Hash == running.Hash {
		return nil
	}
	return &installer.Refusal{Status: installer.StatusRefused, Cause: err,
		Message: "the kernel on the stick is not the one that this machine was started with, and would not start its disk",
		Remedy:  "write the image to the stick again"}
}

// ThisImage describes the image that a plan is looked at for, as far as it can be
// told without a boot medium: the one that this machine runs, or else one that this
// version would build. Each image signs its PCRs and holds Secure Boot keys.
func ThisImage(version string) installer.Image {
	image := installer.Image{Version: version, Signed: true, KeysToEnrol: true}
	facts, err := ReadImageFacts()
	if err != nil {
		return image
	}
	image.Version, image.K3s, image.K3sSource = facts.Version, facts.K3s, facts.K3sSource
	if line, err := os.ReadFile(cmdline); err == nil {
		if root, err := stage1.ParseCmdline(string(line)); err == nil {
			image.RootHash, image.HashOffset = root.Hash, root.HashOffset()
		}
	}
	return image
}
