package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/test/guest"
	"github.com/stek-edge/stek/test/vm"
)

// benchCopy copies the same bytes to the same loop device with dd and fsync, which
// verifies nothing; with dd, and then a second dd that reads the device into sha256sum,
// which is what one does by hand who wants to know; and with the installer's copy, which
// reads everything back from the device and compares it.
func benchCopy(ctx context.Context, dir string, size int64, runs int) error {
	dir, err := os.MkdirTemp(dir, "stek-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	source, want, err := noise(filepath.Join(dir, "source"), size)
	if err != nil {
		return err
	}
	defer source.Close()
	target := filepath.Join(dir, "target")
	if err := solid(target, size); err != nil {
		return err
	}
	node, err := output(ctx, "losetup", "--find", "--show", "--direct-io=on", target)
	if err != nil {
		return err
	}
	defer exec.Command("losetup", "--detach", node).Run()

	var dd, checked, copied figures
	for range runs {
		t, err := timed(func() error {
			_, err := output(ctx, "dd", "if="+source.Name(), "of="+node, "bs=4M", "oflag=direct", "conv=fsync", "status=none")
			return err
		})
		if err != nil {
			return err
		}
		dd = append(dd, t)
		back, err := timed(func() error { return readBack(ctx, node, want, size) })
		if err != nil {
			return err
		}
		checked = append(checked, t+back)
		t, err = timed(func() error { return verifiedCopy(ctx, node, source, want, uint64(size)) })
		if err != nil {
			return err
		}
		copied = append(copied, t)
	}
	median, least, most := ratios(dd, copied)
	fmt.Printf("copy of %s to a loop device\n  dd with fsync        %s\n  dd, then sha256sum   %s\n  stek, read back      %s\n  rate against dd      %.2f (%.2f to %.2f); the aim is 0.95\n",
		hardware.Size(uint64(size)), dd, checked, copied, median, least, most)
	median, least, most = ratios(checked, copied)
	fmt.Printf("  against both         %.2f (%.2f to %.2f)\n", median, least, most)
	return nil
}

// Rates of a medium whose reading costs its writing nothing, bytes per second: those of a
// common SD card.
const (
	cardReads  = 80e6
	cardWrites = 20e6
)

// benchCopyToCard copies in a virtual box to a disk that the emulator holds to the rates of
// a card, by turns with dd and fsync and with the installer's copy.
func benchCopyToCard(ctx context.Context, dir string, runs int) error {
	const megabytes = 200 // about the packed root of an image
	dir, err := os.MkdirTemp(dir, "stek-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	target := filepath.Join(dir, "target")
	if err := solid(target, megabytes*1e6); err != nil {
		return err
	}
	result, err := guest.Run(ctx, guest.Spec{
		Main: "./test/bench/testdata/copy", Args: []string{strconv.Itoa(runs), strconv.Itoa(megabytes)}, Programs: []string{"dd"},
		Machine: vm.Machine{Dir: dir, Memory: 1024, Disks: []vm.Disk{{Name: "target", Path: target, Serial: "target", ReadRate: cardReads, WriteRate: cardWrites}}},
		Timeout: 30 * time.Minute,
	})
	if err != nil {
		return err
	}
	sides, err := printed(result)
	if err != nil {
		return err
	}
	median, least, most := ratios(sides["dd"], sides["stek"])
	fmt.Printf("copy of %s to a virtual disk that writes %s and reads %s a second\n  dd with fsync        %s\n  stek, read back      %s\n  rate against dd      %.2f (%.2f to %.2f); the aim is 0.95\n",
		hardware.Size(megabytes*1e6), hardware.Size(cardWrites), hardware.Size(cardReads), sides["dd"], sides["stek"], median, least, most)
	return nil
}

// readBack compares what is on the device with what should be, by the stock tools.
func readBack(ctx context.Context, node string, want []byte, size int64) error {
	sum, err := output(ctx, "sh", "-c", fmt.Sprintf("dd if=%s bs=4M iflag=direct,count_bytes count=%d status=none | sha256sum", node, size))
	if err == nil && !strings.HasPrefix(sum, fmt.Sprintf("%x ", want)) {
		err = fmt.Errorf("%s holds other bytes than were written: %s", node, sum)
	}
	return err
}

func verifiedCopy(ctx context.Context, node string, source io.ReaderAt, want []byte, size uint64) error {
	d, err := disk.OpenBlock(hardware.Host(), node)
	if err != nil {
		return err
	}
	defer d.Close()
	_, err = disk.Copy(ctx, d, source, size, disk.CopyOptions{Want: want})
	return err
}

// noise makes a file that no drive can compress, and its SHA-256.
func noise(name string, size int64) (*os.File, []byte, error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, nil, err
	}
	h := sha256.New()
	_, err = io.CopyN(io.MultiWriter(f, h), rand.NewChaCha8([32]byte{1}), size)
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, h.Sum(nil), nil
}

// solid makes a file without holes: filling one is work that a disk does not have.
func solid(name string, size int64) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	zeros := make([]byte, 4<<20)
	for off := int64(0); off < size; off += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), size-off)], off); err != nil {
			return err
		}
	}
	return f.Sync()
}

func timed(do func() error) (time.Duration, error) {
	started := time.Now()
	err := do()
	return time.Since(started), err
}

func output(ctx context.Context, name string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return strings.TrimSpace(string(out)), nil
}
