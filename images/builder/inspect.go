package builder

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/stek-edge/stek/firmware/uki"
	"github.com/stek-edge/stek/images/esp"
	"github.com/stek-edge/stek/images/fat"
	"github.com/stek-edge/stek/images/layout"
	"github.com/stek-edge/stek/installer/disk"
)

// Found is what an image holds.
type Found struct {
	Version    string           `json:"version"`         // of stek
	K3s        string           `json:"k3s"`             // version, and whether it is for production
	K3sSource  string           `json:"k3s-source"`      // module or release
	Added      string           `json:"added,omitempty"` // beside what every image carries, such as "package hostapd, files"
	Partitions []FoundPartition `json:"partitions"`
	Files      []FoundFile      `json:"files"`    // of the FAT partition
	Sections   []FoundFile      `json:"sections"` // of the UKI
	Cmdline    string           `json:"cmdline"`
	Kernel     string           `json:"kernel"`
	OSRelease  string           `json:"os-release"`
	Signed     bool             `json:"signed"`     // the UKI carries a Secure Boot signature
	PCR11      string           `json:"pcr-11"`     // predicted for enter-initrd, hex
	PCRSigned  bool             `json:"pcr-signed"` // the UKI carries a signed PCR policy
}

// FoundPartition is one partition of an image.
type FoundPartition struct {
	layout.Partition
	SHA256 string `json:"sha256,omitempty"` // of the root; the FAT partition's files have their own
}

// FoundFile is one file of the FAT partition, or one section of the UKI.
type FoundFile struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"` // bytes
	SHA256 string `json:"sha256"`
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
	found := &Found{}
	for _, p := range table.Partitions {
		one := FoundPartition{Partition: p}
		if p.Name != disk.ESP {
			h := sha256.New()
			if _, err := io.Copy(h, io.NewSectionReader(f, p.Start, p.Size)); err != nil {
				return nil, fmt.Errorf("%s: reading %s: %w", image, p.Name, err)
			}
			one.SHA256 = hex.EncodeToString(h.Sum(nil))
		}
		found.Partitions = append(found.Partitions, one)
	}
	var kernel []byte
	err = withESP(image, os.O_RDONLY, func(v *fat.Volume) error {
		if kernel, err = v.ReadFile(esp.Kernel("a", 0), 256<<20); err != nil {
			return err
		}
		return v.Walk(func(name string, e fat.Entry) error {
			if e.IsDir {
				return nil
			}
			content, err := v.ReadFile(name, largestFile)
			if err != nil {
				return err
			}
			sum := sha256.Sum256(content)
			found.Files = append(found.Files, FoundFile{name, e.Size, hex.EncodeToString(sum[:])})
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
	about := parseOSRelease(found.OSRelease)
	found.Version, found.K3s, found.K3sSource = about["VERSION_ID"], about["STEK_K3S"], about["STEK_K3S_SOURCE"]
	found.Added = about["STEK_ADDED"]
	for _, s := range u.Sections() {
		sum, _ := u.SectionDigest(s.Name)
		found.Sections = append(found.Sections, FoundFile{s.Name, int64(s.Size), hex.EncodeToString(sum[:])})
	}
	pcr, err := u.PredictPCR11(uki.PhaseEnterInitrd)
	if err != nil {
		return nil, err
	}
	found.PCR11 = hex.EncodeToString(pcr[:])
	signatures, err := u.PCRSignatures()
	found.PCRSigned = err == nil && len(signatures) > 0
	return found, nil
}

// parseOSRelease reads the values of an os-release(5) text that are plain or in double
// quotes. Lines of another form are passed over: an image may be anybody's.
func parseOSRelease(text string) map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok {
			continue
		}
		if inner, err := strconv.Unquote(value); err == nil {
			value = inner
		}
		values[key] = value
	}
	return values
}

// WriteText writes what was found for a person.
func (f *Found) WriteText(w io.Writer) error {
	fmt.Fprintf(w, "stek %s, k3s %s, source of k3s: %s\n", plain(f.Version), plain(f.K3s), plain(f.K3sSource))
	if f.Added != "" {
		fmt.Fprintf(w, "added: %s\n", plain(f.Added))
	}
	for _, p := range f.Partitions {
		fmt.Fprintf(w, "partition %d %-8s %12d bytes  %s  %s\n", p.Index, plain(p.Name), p.Size, p.GUID, p.SHA256)
	}
	for _, file := range f.Files {
		fmt.Fprintf(w, "file %-44s %12d bytes  %s\n", plain(file.Name), file.Size, file.SHA256)
	}
	for _, s := range f.Sections {
		fmt.Fprintf(w, "section %-12s %12d bytes  %s\n", plain(s.Name), s.Size, s.SHA256)
	}
	_, err := fmt.Fprintf(w, "kernel %s\ncommand line %s\nSecure Boot signature: %t\nsigned PCR policy: %t\nPCR 11 at enter-initrd: %s\n",
		plain(f.Kernel), plain(f.Cmdline), f.Signed, f.PCRSigned, f.PCR11)
	return err
}

// plain keeps control characters away from the terminal: an image may be anybody's.
func plain(s string) string {
	q := strconv.Quote(s)
	return q[1 : len(q)-1]
}
