package uki

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"strings"
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

// minStub is the oldest systemd-stub whose measurements were compared with the
// prediction. That of Debian 12 (252) does not measure .uname and .sbat.
const minStub = 257

// StubVersion is the version of systemd-stub inside the image, such as
// "257.13-1~deb13u1", empty if the stub does not say.
func (i *Image) StubVersion() string {
	text, ok := strings.CutPrefix(i.text(".sdmagic"), "#### LoaderInfo: systemd-stub ")
	version, _, end := strings.Cut(text, " ####")
	if !ok || !end {
		return ""
	}
	return version
}

func (i *Image) stubMajor() int {
	version := i.StubVersion()
	digits := strings.IndexFunc(version, func(r rune) bool { return r < '0' || r > '9' })
	if digits < 0 {
		digits = len(version)
	}
	major, err := strconv.Atoi(version[:digits])
	if err != nil {
		return 0
	}
	return major
}

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
func (p *PCR) Extend(data []byte) {
	digest := sha256.Sum256(data)
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
// device trees to choose from, and for a stub that measures otherwise.
func (i *Image) PredictPCR11(phases ...string) (PCR, error) {
	var pcr PCR
	measurements, err := i.Measurements()
	if err != nil {
		return PCR{}, err
	}
	for _, m := range measurements {
		pcr.Extend(m)
	}
	for _, phase := range phases {
		pcr.Extend([]byte(phase))
	}
	return pcr, nil
}

// Measurements are what systemd-stub measures into PCR 11, in order and before it is
// hashed. The error wraps [ErrUnpredictable], as that of PredictPCR11.
func (i *Image) Measurements() ([][]byte, error) {
	if v := i.stubMajor(); v < minStub {
		return nil, fmt.Errorf("%w: its stub is %q; systemd-stub %d or newer is needed", ErrUnpredictable, i.StubVersion(), minStub)
	}
	for _, name := range unpredictable {
		if _, ok, _ := i.file.Find(name); ok {
			return nil, fmt.Errorf("%w: it has a %s section", ErrUnpredictable, name)
		}
	}
	var list [][]byte
	for _, name := range measured {
		s, ok, _ := i.file.Find(name)
		if !ok || s.VirtualSize == 0 {
			continue
		}
		// Where the section is longer in memory than in the file the loader
		// fills it with zeros, and these are measured like the rest.
		data := i.file.FileData(s)
		fill := int(s.VirtualSize) - len(data)
		if fill > maxZeroFill {
			return nil, fmt.Errorf("%w: section %s asks for %d bytes of zeros", ErrUnpredictable, name, fill)
		}
		if fill > 0 {
			data = append(bytes.Clone(data), make([]byte, fill)...)
		}
		list = append(list, append([]byte(name), 0), data)
	}
	return list, nil
}
