package fat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Device is what a file system lives on: a file, a partition of it, or a disk.
type Device interface {
	io.ReaderAt
	io.WriterAt
}

// Options for a new file system.
type Options struct {
	Label  string    // at most 11 characters of A-Z, 0-9, space, - and _
	Serial uint32    // the "volume serial number" that systems show
	Time   time.Time // of the label's entry; FAT has no zone, UTC is written
}

// Geometry shared by everything this package makes.
const (
	sectorSize     = 512
	reserved       = 32 // sectors before the first FAT, as mkfs.fat does
	backupBoot     = 6
	infoSector     = 1
	fatCount       = 2
	rootCluster    = 2
	minClusters    = 65525 // fewer would make it FAT16 (the specification, "FAT type determination")
	maxClusters    = 0x0ffffff5
	mediaFixed     = 0xf8
	entryMask      = 0x0fffffff // the upper four bits of a FAT entry are reserved
	endOfChain     = 0x0fffffff
	endOfChainMin  = 0x0ffffff8
	infoLead       = 0x41615252
	infoStruct     = 0x61417272
	infoTrail      = 0xaa550000
	infoFreeField  = 488
	infoNextField  = 492
	clusterSmall   = 512
	clusterLarge   = 4096
	largeThreshold = 260 << 20
)

// MinSize and MaxSize bound what Format makes, in bytes: the smallest that is
// still FAT32 with 512-byte clusters, and 64 GiB, beyond which 4096-byte
// clusters stop being sensible.
const (
	MinSize = 34 << 20
	MaxSize = 64 << 30
)

// Format makes an empty file system in the first size bytes of the device,
// which is rounded down to whole sectors. It writes the reserved sectors, the
// beginnings of both FATs and the root directory; the rest of the FATs must be
// zero already unless wipe is set, which writes it too (a disk that was used
// before).
func Format(device Device, size int64, wipe bool, options Options) (*Volume, error) {
	if size < MinSize || size > MaxSize {
		return nil, fmt.Errorf("making a FAT32 file system: %d bytes; %d to %d are supported", size, int64(MinSize), int64(MaxSize))
	}
	label, err := volumeLabel(options.Label)
	if err != nil {
		return nil, fmt.Errorf("making a FAT32 file system: %w", err)
	}
	g := geometry{sectorSize: sectorSize, clusterSize: clusterSmall, reserved: reserved, fats: fatCount, root: rootCluster, info: infoSector}
	if size > largeThreshold {
		g.clusterSize = clusterLarge
	}
	sectors := uint32(size / sectorSize)
	perCluster := uint32(g.clusterSize / sectorSize)
	// Each cluster takes its sectors and four bytes in each FAT.
	g.fatSectors = (sectors - reserved + 2*perCluster + sectorSize/4*perCluster + fatCount - 1) / (sectorSize/4*perCluster + fatCount)
	g.clusters = (sectors - reserved - fatCount*g.fatSectors) / perCluster
	if g.clusters < minClusters {
		return nil, fmt.Errorf("making a FAT32 file system: %d clusters are too few", g.clusters)
	}

	boot := bootSector(g, sectors, options.Serial, label)
	v := &Volume{device: device, geometry: g, fat: make([]uint32, g.clusters+2), free: g.clusters}
	v.fat[0], v.fat[1] = 0x0fffff00|mediaFixed, endOfChain
	v.set(rootCluster, endOfChain)
	for _, at := range []int64{0, backupBoot * sectorSize} {
		if _, err := device.WriteAt(boot, at); err != nil {
			return nil, fmt.Errorf("writing the boot sector: %w", err)
		}
	}
	if wipe {
		for i := range uint32(len(v.fat)) {
			v.dirty[i*4/sectorSize] = true
		}
	}
	root := make([]byte, g.clusterSize)
	copy(root, label)
	root[attributeField] = attributeLabel
	putTime(root, options.Time)
	if _, err := device.WriteAt(root, g.offset(rootCluster)); err != nil {
		return nil, fmt.Errorf("writing the root directory: %w", err)
	}
	return v, v.flush()
}

func volumeLabel(label string) (string, error) {
	if label == "" || len(label) > 11 || strings.Trim(label, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_ ") != "" {
		return "", errors.New("the label must have 1 to 11 characters of A-Z, 0-9, space, - and _")
	}
	return fmt.Sprintf("%-11s", label), nil
}

// bootSector is the BIOS parameter block (the specification, "Boot sector and
// BPB"). There is no boot code: only UEFI starts from here.
func bootSector(g geometry, sectors, serial uint32, label string) []byte {
	b := make([]byte, sectorSize)
	le := binary.LittleEndian
	copy(b, []byte{0xeb, 0x58, 0x90})
	copy(b[3:], "MSWIN4.1") // the text the specification recommends for compatibility
	le.PutUint16(b[11:], sectorSize)
	b[13] = byte(g.clusterSize / sectorSize)
	le.PutUint16(b[14:], reserved)
	b[16] = fatCount
	b[21] = mediaFixed
	le.PutUint16(b[24:], 63)  // sectors per track and heads: what
	le.PutUint16(b[26:], 255) // partitioning tools assume
	le.PutUint32(b[32:], sectors)
	le.PutUint32(b[36:], g.fatSectors)
	le.PutUint32(b[44:], rootCluster)
	le.PutUint16(b[48:], infoSector)
	le.PutUint16(b[50:], backupBoot)
	b[64] = 0x80
	b[66] = 0x29
	le.PutUint32(b[67:], serial)
	copy(b[71:], label)
	copy(b[82:], "FAT32   ")
	b[510], b[511] = 0x55, 0xaa
	return b
}

// SerialFrom makes a volume serial number out of a digest or a GUID.
func SerialFrom(id []byte) uint32 {
	var b [4]byte
	copy(b[:], id)
	return binary.BigEndian.Uint32(b[:])
}
