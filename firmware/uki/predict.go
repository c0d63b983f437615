package uki

import (
	"crypto/sha256"
	"errors"
	"fmt"
)

// Boot phases that are extended into PCR 11 after the stub
// (systemd-pcrphase.service(8)).
const (
	// PhaseEnterInitrd is extended by stage1 right before it unseals. The PCR
	// signature inside an image is valid for this phase only.
	PhaseEnterInitrd = "enter-initrd"
	// PhaseLeaveInitrd caps PCR 11 on every way out of stage1.
	PhaseLeaveInitrd = "leave-initrd"
)

// PCR11 is the register that systemd-stub measures an image into.
const PCR11 = 11

// maxZeroFill bounds how many bytes a section may have in memory but not in
// the file, so that a hostile file of a few bytes cannot cost seconds of
// hashing. Images have none, or less than a page.
const maxZeroFill = 1 << 20

// ErrUnpredictable says that PCR 11 of an image depends on more than the image.
var ErrUnpredictable = errors.New("PCR 11 of this image cannot be predicted")

// PCR is the value of one SHA-256 platform configuration register.
type PCR [sha256.Size]byte

// Extend is what the TPM does with a measurement: the new value is the hash of
// the old one and the digest of the data.
func (p *PCR) Extend(data []byte) { p.extendDigest(sha256.Sum256(data)) }

func (p *PCR) extendDigest(digest [sha256.Size]byte) {
	*p = sha256.Sum256(append(p[:], digest[:]...))
}

// PredictPCR11 is the SHA-256 value of PCR 11 after systemd-stub started the
// image and the given phases were extended, in that order. Without phases it
// is the value the kernel finds.
//
// Per section in the fixed order the stub measures the name with its trailing
// NUL, then the content (systemd 257, src/boot/stub.c, measure_sections). A
// phase is measured as its word without a NUL.
//
// The error wraps [ErrUnpredictable] for an image with several profiles or
// device trees to choose from.
func (i *Image) PredictPCR11(phases ...string) (PCR, error) {
	var pcr PCR
	for _, name := range unpredictable {
		if _, ok, _ := i.file.Find(name); ok {
			return PCR{}, fmt.Errorf("%w: it has a %s section", ErrUnpredictable, name)
		}
	}
	for _, name := range measured {
		s, ok, _ := i.file.Find(name)
		if !ok || s.VirtualSize == 0 {
			continue
		}
		pcr.Extend(append([]byte(name), 0))
		// Where the section is longer in memory than in the file the loader
		// fills it with zeros, and these are measured like the rest.
		h := sha256.New()
		data := i.file.FileData(s)
		h.Write(data)
		fill := int(s.VirtualSize) - len(data)
		if fill > maxZeroFill {
			return PCR{}, fmt.Errorf("%w: section %s asks for %d bytes of zeros", ErrUnpredictable, name, fill)
		}
		h.Write(make([]byte, fill))
		pcr.extendDigest([sha256.Size]byte(h.Sum(nil)))
	}
	for _, phase := range phases {
		pcr.Extend([]byte(phase))
	}
	return pcr, nil
}
