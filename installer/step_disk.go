package installer

import (
	"bytes"
	"context"
	"fmt"
	"os"

	"github.com/stek-edge/stek/installer/disk"
)

// part is a partition of the target, by its name in the layout.
func (r *run) part(name string) disk.Part {
	p, ok := r.plan.Disk.Layout.Part(name)
	if !ok {
		panic("the layout has no partition " + name)
	}
	return p
}

// partition is the device of a partition of the target.
func (r *run) partition(name string) string {
	return disk.PartitionPath(r.plan.Disk.Chosen.Path, r.part(name).Number)
}

// openDisk opens the target and makes sure that it is the disk of the plan: a path
// may name another disk after something was plugged in.
func (r *run) openDisk() (*disk.Device, error) {
	return disk.Open(r.site.Machine, r.plan.Disk.Chosen)
}

// partitionDisk clears the disk and divides it.
func partitionDisk(ctx context.Context, r *run) error {
	d, err := r.openDisk()
	if err != nil {
		return on(TheDisk, err)
	}
	defer d.Close()
	progress := r.progress()
	return on(TheDisk, disk.Partition(ctx, d, r.plan.Disk.Layout, disk.PartitionOptions{Discard: true, Progress: progress}))
}

// partitioned tells whether the disk has the table of this plan.
func partitioned(_ context.Context, r *run) bool {
	d, err := r.openDisk()
	if err != nil {
		return false
	}
	defer d.Close()
	return disk.Verify(d, r.plan.Disk.Layout) == nil
}

// copyRoot copies the root file system and its hash tree and reads it back. What is
// copied must be what StepCheck has read: a stick that returns other bytes the second
// time is found out here, and not at the next start.
func copyRoot(ctx context.Context, r *run) error {
	source, err := os.Open(r.site.Root)
	if err != nil {
		return on(TheStick, fmt.Errorf("reading the root file system from the stick: %w", err))
	}
	defer source.Close()
	if err := r.makeUnbootable(); err != nil {
		return on(TheDisk, err)
	}
	target, err := r.openRoot()
	if err != nil {
		return on(TheDisk, err)
	}
	defer target.Close()
	progress := r.progress()
	total := 2 * r.plan.Image.RootBytes // written, then read back
	_, err = disk.Copy(ctx, target, source, r.plan.Image.RootBytes, disk.CopyOptions{
		Want: r.root, VerifyAfter: r.plan.Disk.Chosen.Rotational,
		Progress: func(p disk.CopyProgress) { progress(p.Written+p.Verified, total) },
	})
	return onOneOf(err)
}

// makeUnbootable takes away what an earlier try has made bootable, before anything that
// it would start is changed: firmware may prefer the disk to the stick, and must not
// find a boot loader there while the root or the volume is half of another try's.
func (r *run) makeUnbootable() error {
	esp, err := disk.OpenPartition(r.site.Machine, r.plan.Disk.Chosen.Path, r.part(disk.ESP))
	if err != nil {
		return err
	}
	defer esp.Close()
	// The boot sector and its copy, without which no FAT is one.
	if _, err := esp.WriteAt(make([]byte, 64<<10), 0); err != nil {
		return err
	}
	return esp.Flush()
}

func (r *run) openRoot() (*disk.Device, error) {
	return disk.OpenPartition(r.site.Machine, r.plan.Disk.Chosen.Path, r.part(disk.RootA))
}

// rootCopied tells whether the disk holds the root file system of this plan.
func rootCopied(ctx context.Context, r *run) bool {
	target, err := r.openRoot()
	if err != nil {
		return false
	}
	defer target.Close()
	if target.DropCache() != nil {
		return false
	}
	sum, err := r.verity().Check(ctx, target, r.progress())
	return err == nil && bytes.Equal(sum[:], r.root)
}

func (r *run) verity() disk.Verity {
	return disk.Verity{Size: r.plan.Image.RootBytes, Offset: r.plan.Image.HashOffset, RootHash: r.plan.Image.RootHash}
}
