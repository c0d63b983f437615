package fat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// ErrFormat is wrapped by errors about bytes that are no usable FAT32.
var ErrFormat = errors.New("not a usable FAT32 file system")

func formatError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrFormat, fmt.Sprintf(format, args...))
}

// geometry says where things are; sizes in bytes unless named otherwise.
type geometry struct {
	sectorSize  int64
	clusterSize int64
	reserved    uint32 // sectors
	fats        uint32
	fatSectors  uint32
	root        uint32 // first cluster of the root directory
	info        uint32 // sector of the FSInfo structure, 0 if there is none
	clusters    uint32 // how many; numbers run from 2 to clusters+1
}

func (g geometry) fatOffset(copy uint32) int64 {
	return (int64(g.reserved) + int64(copy)*int64(g.fatSectors)) * g.sectorSize
}

// offset is where a cluster starts on the device.
func (g geometry) offset(cluster uint32) int64 {
	return g.fatOffset(g.fats) + int64(cluster-2)*g.clusterSize
}

// valid says whether a cluster number points into the data area.
func (g geometry) valid(cluster uint32) bool {
	return cluster >= 2 && cluster-2 < g.clusters
}

// Volume is an open file system. It is not safe for concurrent use.
type Volume struct {
	geometry
	device Device
	fat    []uint32
	free   uint32          // clusters
	next   uint32          // where the search for a free cluster goes on
	dirty  map[uint32]bool // sectors of the FAT to write
}

// readOnly lets a reader pass as a device.
type readOnly struct{ io.ReaderAt }

func (readOnly) WriteAt([]byte, int64) (int, error) {
	return 0, errors.New("the file system was opened for reading only")
}

// OpenReader opens a file system for reading.
func OpenReader(r io.ReaderAt, size int64) (*Volume, error) { return Open(readOnly{r}, size) }

// Open opens the file system in the first size bytes of a device. It reads the
// whole FAT, four bytes per cluster.
func Open(device Device, size int64) (*Volume, error) {
	boot := make([]byte, sectorSize)
	if err := readFull(device, boot, 0); err != nil {
		return nil, fmt.Errorf("reading the boot sector: %w", err)
	}
	g, err := parseBoot(boot, size)
	if err != nil {
		return nil, err
	}
	v := &Volume{device: device, geometry: g, fat: make([]uint32, g.clusters+2)}
	table := make([]byte, len(v.fat)*4)
	if err := readFull(device, table, g.fatOffset(0)); err != nil {
		return nil, fmt.Errorf("reading the FAT: %w", err)
	}
	for i := range v.fat {
		v.fat[i] = binary.LittleEndian.Uint32(table[i*4:])
		if i >= 2 && v.fat[i]&entryMask == 0 {
			v.free++
		}
	}
	return v, nil
}

func readFull(r io.ReaderAt, b []byte, at int64) error {
	n, err := r.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// parseBoot checks a BIOS parameter block against the size of the device.
func parseBoot(b []byte, size int64) (geometry, error) {
	le := binary.LittleEndian
	if b[510] != 0x55 || b[511] != 0xaa {
		return geometry{}, formatError("no boot sector signature")
	}
	g := geometry{
		sectorSize: int64(le.Uint16(b[11:])),
		reserved:   uint32(le.Uint16(b[14:])),
		fats:       uint32(b[16]),
		fatSectors: le.Uint32(b[36:]),
		root:       le.Uint32(b[44:]),
		info:       uint32(le.Uint16(b[48:])),
	}
	g.clusterSize = g.sectorSize * int64(b[13])
	sectors := int64(le.Uint32(b[32:]))
	switch {
	case !slices.Contains([]int64{512, 1024, 2048, 4096}, g.sectorSize):
		return geometry{}, formatError("sectors of %d bytes", g.sectorSize)
	case b[13] == 0 || b[13]&(b[13]-1) != 0:
		return geometry{}, formatError("clusters of %d sectors", b[13])
	case g.reserved == 0 || g.fats == 0 || g.fats > 2 || g.fatSectors == 0:
		return geometry{}, formatError("%d reserved sectors, %d FATs of %d sectors", g.reserved, g.fats, g.fatSectors)
	case le.Uint16(b[17:]) != 0 || le.Uint16(b[22:]) != 0:
		return geometry{}, formatError("FAT12 or FAT16")
	case sectors*g.sectorSize > size:
		return geometry{}, formatError("%d sectors do not fit %d bytes", sectors, size)
	case le.Uint16(b[40:])&0x80 != 0:
		return geometry{}, formatError("FAT mirroring is switched off")
	}
	data := sectors - int64(g.reserved) - int64(g.fats)*int64(g.fatSectors)
	clusters := data / int64(b[13])
	if data <= 0 || clusters < 1 || clusters > maxClusters || (clusters+2)*4 > int64(g.fatSectors)*g.sectorSize {
		return geometry{}, formatError("a FAT of %d sectors does not cover %d clusters", g.fatSectors, clusters)
	}
	g.clusters = uint32(clusters)
	if !g.valid(g.root) || g.info >= g.reserved {
		return geometry{}, formatError("root directory at cluster %d", g.root)
	}
	return g, nil
}

// Free is the number of bytes left for files.
func (v *Volume) Free() int64 { return int64(v.free) * v.clusterSize }

// chain lists the clusters of a file or directory and fails if there are more
// than limit.
func (v *Volume) chain(first uint32, limit int64) ([]uint32, error) {
	list, more, err := v.prefix(first, min(limit, int64(v.clusters)))
	if err == nil && more {
		return nil, formatError("the chain at cluster %d is longer than it may be, or a circle", first)
	}
	return list, err
}

// prefix lists at most n clusters of a chain and says whether it goes on.
func (v *Volume) prefix(first uint32, n int64) (list []uint32, more bool, err error) {
	for c := first; ; {
		if int64(len(list)) >= n {
			return list, true, nil
		}
		if !v.valid(c) {
			return nil, false, formatError("a chain leads to cluster %d", c)
		}
		list = append(list, c)
		next := v.fat[c] & entryMask
		if next >= endOfChainMin {
			return list, false, nil
		}
		c = next
	}
}

// set changes an entry of the FAT in memory and keeps its reserved bits.
func (v *Volume) set(cluster, value uint32) {
	old := v.fat[cluster]
	switch {
	case old&entryMask == 0 && value != 0:
		v.free--
	case old&entryMask != 0 && value == 0:
		v.free++
	}
	v.fat[cluster] = old&^entryMask | value
	if v.dirty == nil {
		v.dirty = make(map[uint32]bool)
	}
	v.dirty[uint32(int64(cluster)*4/v.sectorSize)] = true
}

// allocate takes n free clusters and links them into a chain.
func (v *Volume) allocate(n int64) ([]uint32, error) {
	if n > int64(v.free) {
		return nil, fmt.Errorf("the FAT32 file system is full: %d bytes are needed, %d are free", n*v.clusterSize, v.Free())
	}
	list := make([]uint32, 0, n)
	if !v.valid(v.next) {
		v.next = 2
	}
	for int64(len(list)) < n {
		c := v.next
		if v.next++; !v.valid(v.next) {
			v.next = 2
		}
		if v.fat[c]&entryMask != 0 {
			continue
		}
		v.set(c, endOfChain)
		if len(list) > 0 {
			v.set(list[len(list)-1], c)
		}
		list = append(list, c)
	}
	return list, nil
}

// release gives clusters back.
func (v *Volume) release(clusters []uint32) {
	for _, c := range clusters {
		v.set(c, 0)
	}
}

// flush writes the changed sectors of all FATs and the free cluster count.
func (v *Volume) flush() error {
	sectors := make([]uint32, 0, len(v.dirty))
	for s := range v.dirty {
		sectors = append(sectors, s)
	}
	slices.Sort(sectors)
	perSector := uint32(v.sectorSize / 4)
	for n := range v.fats {
		for _, s := range sectors {
			b := make([]byte, 0, v.sectorSize)
			for _, entry := range v.fat[s*perSector : min((s+1)*perSector, uint32(len(v.fat)))] {
				b = binary.LittleEndian.AppendUint32(b, entry)
			}
			b = append(b, make([]byte, int(v.sectorSize)-len(b))...)
			if _, err := v.device.WriteAt(b, v.fatOffset(n)+int64(s)*v.sectorSize); err != nil {
				return fmt.Errorf("writing the FAT: %w", err)
			}
		}
	}
	v.dirty = nil
	return v.writeInfo()
}

// writeInfo writes the FSInfo sector and its backup: free clusters and where to
// look for them (the specification, "FSInfo structure").
func (v *Volume) writeInfo() error {
	if v.info == 0 {
		return nil
	}
	b := make([]byte, v.sectorSize)
	le := binary.LittleEndian
	le.PutUint32(b, infoLead)
	le.PutUint32(b[484:], infoStruct)
	le.PutUint32(b[infoFreeField:], v.free)
	le.PutUint32(b[infoNextField:], max(v.next, 2))
	le.PutUint32(b[508:], infoTrail)
	sectors := []uint32{v.info}
	if backup := make([]byte, 2); readFull(v.device, backup, 50) == nil {
		if at := uint32(le.Uint16(backup)); at > v.info && at+v.info < v.reserved {
			sectors = append(sectors, at+v.info)
		}
	}
	for _, s := range sectors {
		if _, err := v.device.WriteAt(b, int64(s)*v.sectorSize); err != nil {
			return fmt.Errorf("writing the FSInfo sector: %w", err)
		}
	}
	return nil
}
