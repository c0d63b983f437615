package layout

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/diskfs/go-diskfs/partition/gpt"

	"github.com/stek-edge/stek/images/esp"
	"github.com/stek-edge/stek/images/fat"
	"github.com/stek-edge/stek/installer/disk"
)

// sector is the logical sector size of an image. Sticks and cards have it too.
const sector = 512

// Stick is the content of a stick image.
type Stick struct {
	ESP      esp.Content
	Root     io.Reader // squashfs and its verity tree, as they lie in root-a
	RootSize int64     // bytes of it, a multiple of 4096
	RootHash []byte    // of the verity tree
	Time     time.Time // of all files in the esp
}

// reportEvery is how often progress is reported while bytes flow.
const reportEvery = 200 * time.Millisecond

// Progress is told how many of how many bytes of the root are written.
type Progress func(done, total int64)

// Table is where things will be in the image, and the size of the image.
func (s Stick) Table() (*Table, int64, error) {
	if s.RootSize <= 0 || s.RootSize%4096 != 0 {
		return nil, 0, fmt.Errorf("the root has %d bytes, not a multiple of 4096", s.RootSize)
	}
	rootType, err := disk.RootType(s.ESP.Arch)
	if err != nil {
		return nil, 0, err
	}
	rootGUID, err := disk.RootGUID(s.RootHash)
	if err != nil {
		return nil, 0, err
	}
	rootStart := int64(disk.Alignment + disk.ESPSize)
	table := &Table{
		GUID:       derive(s.RootHash, "stick").String(),
		SectorSize: sector,
		Partitions: []Partition{
			{Index: 1, Name: disk.ESP, Type: disk.TypeESP, GUID: derive(s.RootHash, "stick esp").String(), Start: disk.Alignment, Size: disk.ESPSize},
			{Index: 2, Name: disk.RootA, Type: rootType, GUID: rootGUID, Start: rootStart, Size: s.RootSize},
		},
	}
	end := (rootStart + s.RootSize + disk.Alignment - 1) / disk.Alignment * disk.Alignment
	return table, end + disk.Alignment, nil // the last MiB holds the backup table
}

// WriteStick writes an image into a file, in place of what it held. Parts that
// are zero become holes. The partition table is written last: an image that
// was cut short is recognised as none.
func WriteStick(ctx context.Context, out *os.File, s Stick, progress Progress) (*Table, error) {
	table, size, err := s.Table()
	if err != nil {
		return nil, fmt.Errorf("laying out the stick image: %w", err)
	}
	if err := errors.Join(out.Truncate(0), out.Truncate(size)); err != nil {
		return nil, fmt.Errorf("writing the stick image: %w", err)
	}
	espPart, root := table.Partitions[0], table.Partitions[1]
	volume, err := fat.Format(PartitionDevice(out, espPart), espPart.Size, false, fat.Options{
		Label: esp.Label, Serial: fat.SerialFrom(s.RootHash), Time: s.Time,
	})
	if err != nil {
		return nil, err
	}
	if err := esp.Write(volume, s.ESP, s.Time); err != nil {
		return nil, err
	}
	if err := copyRoot(ctx, PartitionDevice(out, root), s.Root, s.RootSize, progress); err != nil {
		return nil, fmt.Errorf("copying the root into the image: %w", err)
	}
	if err := writeGPT(out, table, size); err != nil {
		return nil, err
	}
	if err := out.Sync(); err != nil {
		return nil, fmt.Errorf("writing the stick image: %w", err)
	}
	return table, nil
}

// copyRoot copies exactly size bytes and leaves holes.
func copyRoot(ctx context.Context, to io.WriterAt, from io.Reader, size int64, progress Progress) error {
	// Small enough for holes to be found, large enough to be fast.
	const block = 128 << 10
	buffer, zeros := make([]byte, block), make([]byte, block)
	last := time.Time{}
	for done := int64(0); done < size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := buffer[:min(int64(len(buffer)), size-done)]
		if _, err := io.ReadFull(from, b); err != nil {
			return fmt.Errorf("after %d of %d bytes: %w", done, size, err)
		}
		if !bytes.Equal(b, zeros[:len(b)]) {
			if _, err := to.WriteAt(b, done); err != nil {
				return err
			}
		}
		done += int64(len(b))
		if progress != nil && (done == size || time.Since(last) > reportEvery) {
			last = time.Now()
			progress(done, size)
		}
	}
	if n, err := io.ReadFull(from, buffer[:1]); n != 0 || !errors.Is(err, io.EOF) {
		return fmt.Errorf("the root is longer than the %d bytes it was said to have", size)
	}
	return nil
}

func writeGPT(out *os.File, table *Table, size int64) error {
	written := &gpt.Table{LogicalSectorSize: sector, PhysicalSectorSize: sector, GUID: table.GUID, ProtectiveMBR: true}
	for _, p := range table.Partitions {
		written.Partitions = append(written.Partitions, &gpt.Partition{
			Index: p.Index, Name: p.Name, Type: gpt.Type(p.Type), GUID: p.GUID,
			Start: uint64(p.Start / sector), End: uint64((p.Start+p.Size)/sector - 1), Size: uint64(p.Size),
		})
	}
	if err := written.Write(out, size); err != nil {
		return fmt.Errorf("writing the partition table: %w", err)
	}
	return nil
}
