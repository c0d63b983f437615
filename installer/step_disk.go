package installer

import (
	"context"
	"fmt"
	"os"
	"strconv"

	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/hardware"
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
	return disk.Open(hardware.Host(), r.plan.Disk.Chosen)
}

// partitionDisk clears the disk and divides it.
func partitionDisk(ctx context.Context, r *run) error {
	d, err := r.openDisk()
	if err != nil {
		return err
	}
	defer d.Close()
	progress := r.progress()
	return disk.Partition(ctx, d, r.plan.Disk.Layout, disk.PartitionOptions{Discard: true, Progress: progress})
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

// copyRoot copies the root file system and its hash tree, reads it back, and has
// the copy checked against the root hash that the running kernel was given: a stick
// that returns wrong bytes is found out here, not at the next start.
func copyRoot(ctx context.Context, r *run) error {
	source, err := os.Open(r.site.Root)
	if err != nil {
		return fmt.Errorf("reading the root file system from the stick: %w", err)
	}
	defer source.Close()
	target, err := disk.OpenPartition(hardware.Host(), r.plan.Disk.Chosen.Path, r.part(disk.RootA))
	if err != nil {
		return err
	}
	defer target.Close()
	progress := r.progress()
	total := 2 * r.plan.Image.RootBytes // written, then read back
	_, err = disk.Copy(ctx, target, source, r.plan.Image.RootBytes, disk.CopyOptions{Progress: func(p disk.CopyProgress) {
		done := p.Done
		if p.Phase == disk.Verifying {
			done += r.plan.Image.RootBytes
		}
		progress(done, total)
	}})
	if err != nil {
		return err
	}
	r.note("comparing the copy with the root hash of the image")
	return r.checkRoot(ctx)
}

// checkRoot has veritysetup compute the root hash of the copy.
func (r *run) checkRoot(ctx context.Context) error {
	device, offset := r.partition(disk.RootA), strconv.FormatUint(r.plan.Image.HashOffset, 10)
	if _, err := r.site.Tools.Run(ctx, nil, "veritysetup", "verify", device, device, r.plan.Image.RootHash, "--hash-offset", offset); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &Refusal{Status: StatusFailed, Message: "the root file system on the disk is not the one that the image was made with",
			Remedy: "write the image to the stick again and try once more; if it stays, the stick or the disk is failing", Cause: err}
	}
	return nil
}

// rootCopied tells whether the disk holds the root file system of this plan.
func rootCopied(ctx context.Context, r *run) bool {
	return r.checkRoot(ctx) == nil
}
