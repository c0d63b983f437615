package hardware

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
)

// probeWindow is how much of the start and of the end of an area is looked at.
// Every superblock that marks content lies in there; the last one from the start
// is iso9660's and btrfs' at 32 and 64 KiB, LUKS2's second header at up to 512 KiB.
const probeWindow = 1 << 20

// Unknown is the content of an area that is not blank and that no signature
// explains. Nobody may call such an area empty.
const Unknown = "unknown"

// Signature is one superblock found on a disk or partition.
type Signature struct {
	Type   string // as blkid names it: ext4, vfat, crypto_LUKS, LVM2_member, …
	Label  string
	UUID   string
	Offset uint64 // of the superblock within the area, bytes
}

// area is what a prober sees: the first and the last bytes, and the whole size.
type area struct {
	head, tail []byte // tail's last byte is the area's last byte
	size       uint64
}

// at returns n bytes at off, or nil where they are outside the two windows.
func (a *area) at(off uint64, n int) []byte {
	if off+uint64(n) < off || off+uint64(n) > a.size {
		return nil
	}
	if end := off + uint64(n); end <= uint64(len(a.head)) {
		return a.head[off:end]
	}
	start := a.size - uint64(len(a.tail))
	if off >= start {
		return a.tail[off-start:][:n]
	}
	return nil
}

// is tells whether magic lies at off.
func (a *area) is(off uint64, magic string) bool {
	b := a.at(off, len(magic))
	return b != nil && string(b) == magic
}

// A prober finds the superblocks of one kind of content. A kind can have several
// places, such as the four versions of the Linux RAID superblock.
type prober func(*area) []Signature

// probers in order of what counts when several match: a member of something
// larger first, since a RAID 1 member with its superblock at the end looks like a
// plain file system from the start; then what is only a file system.
var probers = []prober{
	probeLUKS, probeLVM, probeMD, probeZFS, probeFakeRAID, probeBcache, probeBitLocker, probeVerity,
	probeExt, probeXFS, probeBtrfs, probeNTFS, probeExFAT, probeSwap, probeSquashfs, probeErofs,
	probeISO, probeAPFS, probeHFS, probeF2FS, probeFAT,
}

// Probe looks for superblocks in an area of size bytes and returns what it finds,
// the one that counts first. An area without any is blank, when Probe returns
// nothing, or holds something nobody recognised: one Signature of type [Unknown].
func Probe(r io.ReaderAt, size uint64) ([]Signature, error) {
	a, err := readArea(r, size)
	if err != nil {
		return nil, err
	}
	found := a.signatures()
	if len(found) == 0 && !blank(a.head) {
		found = []Signature{{Type: Unknown}}
	}
	return found, nil
}

func readArea(r io.ReaderAt, size uint64) (*area, error) {
	a := &area{size: size, head: make([]byte, min(size, probeWindow))}
	if err := readFull(r, a.head, 0); err != nil {
		return nil, fmt.Errorf("reading the first %d bytes: %w", len(a.head), err)
	}
	if size <= probeWindow {
		a.tail = a.head
		return a, nil
	}
	a.tail = make([]byte, min(size, probeWindow))
	if err := readFull(r, a.tail, size-uint64(len(a.tail))); err != nil {
		return nil, fmt.Errorf("reading the last %d bytes: %w", len(a.tail), err)
	}
	return a, nil
}

func (a *area) signatures() []Signature {
	var found []Signature
	for _, p := range probers {
		for _, s := range p(a) {
			s.Label, s.UUID = clean(s.Label), clean(s.UUID)
			found = append(found, s)
		}
	}
	return found
}

// blank tells whether an area was never written or was discarded: all zeros, or
// all ones as erased flash reads.
func blank(b []byte) bool {
	if len(b) == 0 {
		return true
	}
	first := b[0]
	if first != 0 && first != 0xff {
		return false
	}
	for _, c := range b {
		if c != first {
			return false
		}
	}
	return true
}

// content splits signatures into the one that counts and the names of the rest.
func content(found []Signature) (first Signature, remains []string) {
	if len(found) == 0 {
		return Signature{}, nil
	}
	for _, s := range found[1:] {
		if s.Type != found[0].Type && !slices.Contains(remains, s.Type) {
			remains = append(remains, s.Type)
		}
	}
	return found[0], remains
}

// clean makes a string from a device fit for a terminal and for comparing: the
// text before the first NUL, without anything unprintable (a label may carry
// escape sequences), trimmed.
func clean(s string) string {
	if i := strings.IndexByte(s, 0); i >= 0 {
		s = s[:i]
	}
	s = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
	return strings.TrimSpace(s)
}
