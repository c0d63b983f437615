package builder

import (
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"github.com/stek-edge/stek/firmware/uki"
	"github.com/stek-edge/stek/images/esp"
	"github.com/stek-edge/stek/images/fat"
	"github.com/stek-edge/stek/images/layout"
)

// Found is what an image holds.
type Found struct {
	Partitions []layout.Partition `json:"partitions"`
	Files      []FoundFile        `json:"files"` // of the FAT partition
	Cmdline    string             `json:"cmdline"`
	Kernel     string             `json:"kernel"`
	OSRelease  string             `json:"os-release"`
	Signed     bool               `json:"signed"`     // the UKI carries a Secure Boot signature
	PCR11      string             `json:"pcr-11"`     // predicted for enter-initrd, hex
	PCRSigned  bool               `json:"pcr-signed"` // the UKI carries a signed PCR policy
}

// FoundFile is one file of the FAT partition.
type FoundFile struct {
	Name string `json:"name"`
	Size int64  `json:"size"` // bytes
}

// Inspect reads an image file or a stick. Nothing in it is believed or run.
func Inspect(image string) (*Found, error) {
	f, err := os.Open(image)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	table, err := layout.ReadGPT(f, size)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", image, err)
	}
	found := &Found{Partitions: table.Partitions}
	var kernel []byte
	err = withESP(image, os.O_RDONLY, func(v *fat.Volume) error {
		if kernel, err = v.ReadFile(esp.Kernel("a", 0), 256<<20); err != nil {
			return err
		}
		return v.Walk(func(name string, e fat.Entry) error {
			if !e.IsDir {
				found.Files = append(found.Files, FoundFile{name, e.Size})
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	u, err := uki.Parse(kernel)
	if err != nil {
		return nil, err
	}
	found.Cmdline, found.Kernel, found.OSRelease, found.Signed = u.Cmdline(), u.Uname(), u.OSRelease(), u.Signed()
	pcr, err := u.PredictPCR11(uki.PhaseEnterInitrd)
	if err != nil {
		return nil, err
	}
	found.PCR11 = hex.EncodeToString(pcr[:])
	signatures, err := u.PCRSignatures()
	found.PCRSigned = err == nil && len(signatures) > 0
	return found, nil
}

// WriteText writes what was found for a person.
func (f *Found) WriteText(w io.Writer) error {
	for _, p := range f.Partitions {
		fmt.Fprintf(w, "partition %d %-7s %12d bytes  %s\n", p.Index, p.Name, p.Size, p.GUID)
	}
	for _, file := range f.Files {
		fmt.Fprintf(w, "file %-44s %12d bytes\n", file.Name, file.Size)
	}
	_, err := fmt.Fprintf(w, "kernel %s\ncommand line %s\nSecure Boot signature: %t\nsigned PCR policy: %t\nPCR 11 at enter-initrd: %s\n",
		f.Kernel, f.Cmdline, f.Signed, f.PCRSigned, f.PCR11)
	return err
}
