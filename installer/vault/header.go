package vault

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"regexp"
)

// The two copies of the LUKS2 header begin with these; the second is the first
// one backwards. LUKS2 on-disk format, section 2.1.
const (
	magicPrimary   = "LUKS\xba\xbe"
	magicSecondary = "SKUL\xba\xbe"
)

// Limits of one header copy (binary part plus JSON area), bytes. The format
// allows up to 4 MiB; 256 KiB is eight times what this package writes, and
// bounds what a hostile header makes us read.
const (
	minCopySize = 16 << 10
	maxCopySize = 256 << 10
	binarySize  = 4096
)

var (
	// ErrNotLUKS means that neither header copy is there: the partition holds a
	// plain file system, other data or nothing.
	ErrNotLUKS error = &headerFault{"the partition holds no LUKS2 volume",
		"somebody has overwritten or replaced the encrypted volume: look at the box and its disk before anything else; with a backup of the header it can be written back from a rescue system, otherwise install again"}
	// ErrDamaged means that a header was here, but no copy has a right checksum.
	ErrDamaged error = &headerFault{"both copies of the LUKS2 header are damaged",
		"write the backup of the header back from a rescue system; installing again loses what is on the disk"}
	// ErrRefused means that the header is whole but asks for something this
	// package does not accept: see *RefusedError.
	ErrRefused = errors.New("the LUKS2 header is refused")
)

// headerFault is an error with an answer to "and now?".
type headerFault struct{ text, remedy string }

func (e *headerFault) Error() string { return e.text }

// Remedy says what a person can do.
func (e *headerFault) Remedy() string { return e.remedy }

// RefusedError says which field of a whole header was not accepted. Nothing that
// this project writes is ever refused, so either another tool changed the volume
// or somebody tampered with it. It matches ErrRefused.
type RefusedError struct {
	Field string // path in the LUKS2 JSON, such as "segments.0.encryption"
	Why   string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("the LUKS2 header is refused: %s: %s", e.Field, e.Why)
}

// Remedy says what a person can do.
func (e *RefusedError) Remedy() string {
	return "no key was tried: look at the box and its disk first, somebody may have changed the volume; with a backup of the header it can be written back from a rescue system"
}

// Is lets errors.Is find ErrRefused.
func (e *RefusedError) Is(target error) bool { return target == ErrRefused }

func refuse(field, format string, args ...any) error {
	return &RefusedError{Field: field, Why: fmt.Sprintf(format, args...)}
}

// binaryHeader is the first 4096 bytes of a copy, big-endian, without its
// trailing padding. LUKS2 on-disk format, section 2.1.
type binaryHeader struct {
	Magic       [6]byte
	Version     uint16
	Size        uint64 // of this copy, JSON area included
	Sequence    uint64 // higher is newer
	Label       [48]byte
	ChecksumAlg [32]byte
	Salt        [64]byte
	UUID        [40]byte
	Subsystem   [48]byte
	Offset      uint64 // of this copy on the device
	_           [184]byte
	Checksum    [64]byte
}

// checksumAt is the offset of binaryHeader.Checksum.
const checksumAt = 448

// headerCopy is one copy whose checksum is right. Nothing in it is trusted yet:
// the checksum holds no key.
type headerCopy struct {
	bin  binaryHeader
	raw  []byte // the whole copy
	json []byte // JSON object, without the zeros after it
}

var uuidForm = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

func (c *headerCopy) uuid() string  { return cString(c.bin.UUID[:]) }
func (c *headerCopy) label() string { return cString(c.bin.Label[:]) }

func cString(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

// errNoCopy means that there is no header at this place, which is no fault.
var errNoCopy = errors.New("no header copy here")

// readCopy reads and checks the copy at offset. It returns errNoCopy when the
// magic is not there, and an error matching ErrDamaged when it is but the rest
// does not hold.
func readCopy(r io.ReaderAt, offset int64) (*headerCopy, error) {
	start := make([]byte, binarySize)
	if _, err := r.ReadAt(start, offset); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, errNoCopy
		}
		return nil, fmt.Errorf("reading the LUKS2 header: %w", err)
	}
	var c headerCopy
	if err := binary.Read(bytes.NewReader(start), binary.BigEndian, &c.bin); err != nil {
		return nil, fmt.Errorf("decoding the LUKS2 header: %w", err)
	}
	want := magicPrimary
	if offset != 0 {
		want = magicSecondary
	}
	if string(c.bin.Magic[:]) != want {
		return nil, errNoCopy
	}
	if c.bin.Version != 2 {
		if c.bin.Version == 1 {
			return nil, refuse("version", "a LUKS1 volume; only LUKS2 is accepted")
		}
		return nil, fmt.Errorf("%w: version %d", ErrDamaged, c.bin.Version)
	}
	size := c.bin.Size
	if size < minCopySize || size > maxCopySize || size&(size-1) != 0 {
		return nil, fmt.Errorf("%w: a header of %d bytes", ErrDamaged, size)
	}
	// The second copy follows the first one directly, so its place and its
	// size are the same number.
	if c.bin.Offset != uint64(offset) || (offset != 0 && uint64(offset) != size) {
		return nil, fmt.Errorf("%w: a copy at byte %d says it is at %d", ErrDamaged, offset, c.bin.Offset)
	}
	c.raw = make([]byte, size)
	if _, err := r.ReadAt(c.raw, offset); err != nil {
		return nil, fmt.Errorf("%w: cut off: %v", ErrDamaged, err)
	}
	if alg := cString(c.bin.ChecksumAlg[:]); alg != "sha256" {
		return nil, fmt.Errorf("%w: checksum algorithm %.32q", ErrDamaged, alg)
	}
	sum := checksum(c.raw)
	// The field is read from the second reading of the bytes, so that a disk
	// answering differently the second time is noticed here.
	if subtle.ConstantTimeCompare(sum, c.raw[checksumAt:checksumAt+len(sum)]) != 1 || !bytes.Equal(start, c.raw[:binarySize]) {
		return nil, fmt.Errorf("%w: wrong checksum", ErrDamaged)
	}
	area := c.raw[binarySize:]
	end := bytes.IndexByte(area, 0)
	if end <= 0 {
		return nil, refuse("json", "the JSON area is empty or has no end")
	}
	// cryptsetup forbids anything after the object as well
	// (luks2_disk_metadata.c, validate_json_area).
	if len(bytes.Trim(area[end:], "\x00")) != 0 {
		return nil, refuse("json", "data after the end of the JSON object")
	}
	c.json = area[:end]
	if !uuidForm.MatchString(c.uuid()) {
		return nil, refuse("uuid", "not a UUID")
	}
	for _, b := range []byte(c.label()) {
		if b < ' ' || b > '~' {
			return nil, refuse("label", "holds a character that is not printable ASCII")
		}
	}
	return &c, nil
}

// checksum is the SHA-256 of a whole copy with the checksum field zeroed.
func checksum(raw []byte) []byte {
	h := sha256.New()
	h.Write(raw[:checksumAt])
	h.Write(make([]byte, 64))
	h.Write(raw[checksumAt+64:])
	return h.Sum(nil)
}

// pickCopy reads both copies as cryptsetup does and returns the newer whole one.
// broken tells that the other one is missing or damaged, which the next write by
// cryptsetup repairs.
func pickCopy(r io.ReaderAt) (c *headerCopy, broken bool, err error) {
	first, err1 := readCopy(r, 0)
	var second *headerCopy
	err2 := errNoCopy
	if first != nil {
		second, err2 = readCopy(r, int64(first.bin.Size))
	} else if !errors.Is(err1, ErrRefused) {
		// Without the first copy the size is unknown; the format lists the
		// places where the second one may be.
		for at := int64(minCopySize); at <= maxCopySize && second == nil; at *= 2 {
			s, err := readCopy(r, at)
			if s != nil || !errors.Is(err, errNoCopy) {
				second, err2 = s, err
			}
		}
	}
	switch {
	case first != nil && second != nil:
		if first.uuid() != second.uuid() {
			return nil, false, refuse("uuid", "the two header copies belong to two volumes")
		}
		if second.bin.Sequence > first.bin.Sequence {
			return second, false, nil
		}
		return first, false, nil
	case first != nil:
		return first, true, nil
	case second != nil:
		return second, true, nil
	case errors.Is(err1, errNoCopy) && errors.Is(err2, errNoCopy):
		return nil, false, ErrNotLUKS
	case errors.Is(err1, errNoCopy):
		return nil, false, err2
	default:
		return nil, false, err1
	}
}
