package disk

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"
)

// Names of the partitions of an installed disk, in their order. A stick has the first
// two, and takes them from here.
const (
	ESP   = "esp"
	RootA = "root-a"
	RootB = "root-b"
	State = "state"
)

// Partition types (UEFI 2.10, table 5.7, and the Discoverable Partitions
// Specification). The last is for LUKS containers; that specification's own types
// for encrypted data would make stock tools mount it by themselves.
const (
	TypeESP       = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
	TypeRootAMD64 = "4f68bce3-e8cd-4db1-96e7-fbcaf984b709"
	TypeRootARM64 = "b921b045-1df0-41c3-af44-4c6f280d4fae"
	TypeLUKS      = "ca7d7ccb-63ed-4c53-861c-1742536059cc"
)

// Sizes in bytes. The boot partition and the two roots are generous because they
// cannot grow later. The smallest state holds the unpacked k3s images (about
// 2 GiB), one update of them and the logs; with it the smallest disk is just below
// what is sold as 16 GB, down to the eMMC modules that have 15.5.
const (
	Alignment   = 1 << 20 // of partitions; as much is free before the first one
	ESPSize     = 1 << 30
	RootSize    = 4 << 30
	MinState    = 5 << 30
	MinDiskSize = Alignment + ESPSize + 2*RootSize + MinState + Alignment
)

// Part is one partition to be made. Sizes and places are in bytes.
type Part struct {
	Number int    `json:"number"`
	Name   string `json:"name"`
	Type   string `json:"type"` // GUIDs in lower case
	GUID   string `json:"guid"`
	Start  uint64 `json:"start"`
	Size   uint64 `json:"size"`
}

// Layout is a partition table to be written to a disk of DiskSize bytes.
type Layout struct {
	DiskSize   uint64 `json:"disk-size"`
	SectorSize uint32 `json:"sector-size"`
	GUID       string `json:"guid"` // of the disk
	Partitions []Part `json:"partitions"`
}

// Part returns a partition by its name.
func (l Layout) Part(name string) (Part, bool) {
	for _, p := range l.Partitions {
		if p.Name == name {
			return p, true
		}
	}
	return Part{}, false
}

// IDs are the random identities of one table. They go into the journal, so that an
// interrupted install knows its own table again.
type IDs struct {
	Disk  string `json:"disk"`
	ESP   string `json:"esp"`
	RootB string `json:"root-b"`
	State string `json:"state"`
}

// Valid tells whether a table can have these identities. A journal that a power cut or
// a bad stick has damaged may hold anything.
func (ids IDs) Valid() bool {
	seen := map[string]bool{}
	for _, id := range []string{ids.Disk, ids.ESP, ids.RootB, ids.State} {
		if u, err := uuid.Parse(id); err != nil || u == uuid.Nil || u.String() != id || seen[id] {
			return false
		}
		seen[id] = true
	}
	return true
}

// NewIDs makes identities from a source of randomness (crypto/rand.Reader).
func NewIDs(random io.Reader) (IDs, error) {
	var out [4]string
	for i := range out {
		id, err := uuid.NewRandomFromReader(random)
		if err != nil {
			return IDs{}, fmt.Errorf("making partition GUIDs: %w", err)
		}
		out[i] = id.String()
	}
	return IDs{out[0], out[1], out[2], out[3]}, nil
}

// RootType is the partition type of a root for an architecture, in GOARCH's spelling.
func RootType(arch string) (string, error) {
	switch arch {
	case "amd64":
		return TypeRootAMD64, nil
	case "arm64":
		return TypeRootARM64, nil
	}
	return "", fmt.Errorf("no partition type is known for a root of the architecture %q", arch)
}

// RootGUID is the GUID of the partition that holds a root: the first 16 bytes of
// its verity root hash, written out in order (Discoverable Partitions
// Specification).
func RootGUID(rootHash []byte) (string, error) {
	if len(rootHash) != sha256.Size {
		return "", fmt.Errorf("a root hash has %d bytes, not %d", sha256.Size, len(rootHash))
	}
	return uuid.UUID(rootHash[:16]).String(), nil
}

// ErrTooSmall is returned by Plan for a disk below MinDiskSize.
var ErrTooSmall = errors.New("the disk is too small")

// Plan lays out an installed disk: esp, root-a, root-b, and state for the rest.
// size and sector are in bytes, arch is GOARCH's spelling. It is a pure function.
func Plan(size uint64, sector uint32, arch string, rootHash []byte, ids IDs) (Layout, error) {
	if sector != 512 && sector != 4096 {
		return Layout{}, fmt.Errorf("planning the partitions: sectors of %d bytes are not supported", sector)
	}
	if size < MinDiskSize {
		return Layout{}, fmt.Errorf("planning the partitions: %w: %d bytes of %d", ErrTooSmall, size, uint64(MinDiskSize))
	}
	rootType, err := RootType(arch)
	if err != nil {
		return Layout{}, fmt.Errorf("planning the partitions: %w", err)
	}
	rootA, err := RootGUID(rootHash)
	if err != nil {
		return Layout{}, fmt.Errorf("planning the partitions: %w", err)
	}
	// The second copy of the table, at most 16 KiB and one sector, ends the disk.
	// Rounding down to a whole MiB after leaving one out gives it room.
	end := (size - Alignment) / Alignment * Alignment
	l := Layout{DiskSize: size, SectorSize: sector, GUID: ids.Disk}
	next := uint64(Alignment)
	add := func(name, kind, guid string, length uint64) {
		l.Partitions = append(l.Partitions, Part{Number: len(l.Partitions) + 1, Name: name, Type: kind, GUID: guid, Start: next, Size: length})
		next += length
	}
	add(ESP, TypeESP, ids.ESP, ESPSize)
	add(RootA, rootType, rootA, RootSize)
	add(RootB, rootType, ids.RootB, RootSize)
	add(State, TypeLUKS, ids.State, end-next)
	return l, l.check()
}

// check refuses a layout that would damage something: a GUID used twice or
// malformed, partitions that overlap or reach into the table at either end.
func (l Layout) check() error {
	seen := map[string]bool{}
	for _, id := range append([]string{l.GUID}, l.guids()...) {
		if u, err := uuid.Parse(id); err != nil || u == uuid.Nil || u.String() != id {
			return fmt.Errorf("planning the partitions: %q is not a partition GUID", id)
		}
		if seen[id] {
			return fmt.Errorf("planning the partitions: the GUID %s is used twice", id)
		}
		seen[id] = true
	}
	next := uint64(Alignment)
	for _, p := range l.Partitions {
		if p.Start < next || p.Size == 0 || p.Start%Alignment != 0 || p.Size%uint64(l.SectorSize) != 0 {
			return fmt.Errorf("planning the partitions: %s at %d does not fit", p.Name, p.Start)
		}
		next = p.Start + p.Size
	}
	if next > l.DiskSize || l.DiskSize-next < tableSize(l.SectorSize) {
		return fmt.Errorf("planning the partitions: no room for the second copy of the table")
	}
	return nil
}

func (l Layout) guids() []string {
	var out []string
	for _, p := range l.Partitions {
		out = append(out, p.GUID)
	}
	return out
}

// tableSize is how much one copy of the table takes, without the protective MBR:
// header and 128 entries of 128 bytes.
func tableSize(sector uint32) uint64 { return uint64(sector) + 128*128 }
