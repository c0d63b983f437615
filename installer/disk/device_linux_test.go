package disk

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stek-edge/stek/installer/hardware"
)

// loop attaches an image to a loop device with a partition scan: a real kernel's
// block device, without a disk.
func loop(t *testing.T, size int64, sector string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("attaching a loop device needs root")
	}
	file := image(t, size, 512).Name()
	node := strings.TrimSpace(tool(t, "losetup", "--find", "--show", "--partscan", "--sector-size", sector, file))
	t.Cleanup(func() { tool(t, "losetup", "--detach", node) })
	return node
}

func TestDevice(t *testing.T) {
	for _, sector := range []string{"512", "4096"} {
		t.Run("sectors of "+sector, func(t *testing.T) {
			node := loop(t, MinDiskSize, sector)
			roots := hardware.Host()
			d, err := openDevice(roots, node)
			must(t, err)
			defer func() { d.Close() }()
			if d.Size() != MinDiskSize || d.SectorSize() != map[string]uint32{"512": 512, "4096": 4096}[sector] {
				t.Fatalf("%d bytes in sectors of %d", d.Size(), d.SectorSize())
			}
			l := mkLayout(t, d.Size(), d.SectorSize())
			for _, discard := range []bool{false, true} {
				must(t, Partition(context.Background(), d, l, PartitionOptions{Discard: discard}))
			}
			if out := tool(t, "sgdisk", "-v", node); !strings.Contains(out, "No problems found") {
				t.Error(out)
			}
			if name, err := d.sysName(); err != nil || "/dev/"+name != node {
				t.Error(name, err)
			}

			// While the disk is held nobody gets a partition; afterwards one does.
			root, _ := l.Part(RootA)
			var busy *BusyError
			if _, err := OpenPartition(roots, node, root); !errors.As(err, &busy) {
				t.Errorf("two at once: %v", err)
			}
			must(t, d.Close())
			p, err := OpenPartition(roots, node, root)
			must(t, err)
			data := noise(9<<20 + 777)
			_, err = Copy(context.Background(), p, bytes.NewReader(data), uint64(len(data)), CopyOptions{Want: digest(data)})
			must(t, err)
			must(t, p.Close())

			esp, _ := l.Part(ESP)
			must(t, MakeESP(context.Background(), Exec{}, PartitionPath(node, 1), d.SectorSize(), 7))
			tool(t, "fsck.vfat", "-n", PartitionPath(node, 1))
			esp.Start += 1 << 20
			if _, err := OpenPartition(roots, node, esp); err == nil {
				t.Error("a partition in another place was taken")
			}

			d, err = openDevice(roots, node)
			must(t, err)
			must(t, Verify(d, l))
			got := make([]byte, len(data))
			_, err = Section(d, root.Start, root.Size).ReadAt(got, 0)
			must(t, err)
			if !bytes.Equal(got, data) {
				t.Error("another copy")
			}
		})
	}
}

// udev has the kernel read the table anew once the disk is closed: for a moment there are
// no partitions.
func TestPartitionComesBack(t *testing.T) {
	node := loop(t, MinDiskSize, "512")
	roots := hardware.Host()
	d, err := openDevice(roots, node)
	must(t, err)
	l := mkLayout(t, d.Size(), d.SectorSize())
	must(t, Partition(context.Background(), d, l, PartitionOptions{}))
	must(t, d.Close())
	tool(t, "partx", "--delete", node)
	back := make(chan struct{})
	go func() {
		defer close(back)
		time.Sleep(300 * time.Millisecond)
		if out, err := exec.Command("partx", "--add", node).CombinedOutput(); err != nil {
			t.Errorf("bringing the partitions back: %v: %s", err, out)
		}
	}()
	defer func() { <-back }()
	root, _ := l.Part(RootA)
	p, err := OpenPartition(roots, node, root)
	must(t, err)
	must(t, p.Close())
}

func TestRescanWaitsForWhoeverLooks(t *testing.T) {
	node := loop(t, MinDiskSize, "512")
	d, err := openDevice(hardware.Host(), node)
	must(t, err)
	l := mkLayout(t, MinDiskSize, 512)
	must(t, Partition(context.Background(), d, l, PartitionOptions{}))
	must(t, d.Close())

	// Somebody holds a partition for a moment, as udev does. The table cannot be
	// read again until he lets go.
	f, err := os.Open(PartitionPath(node, 1))
	must(t, err)
	d, err = openDevice(hardware.Host(), node)
	must(t, err)
	defer d.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	var busy *BusyError
	if err := d.Rescan(ctx, l); !errors.As(err, &busy) {
		t.Errorf("%v", err)
	}
	time.AfterFunc(100*time.Millisecond, func() { f.Close() })
	must(t, d.Rescan(context.Background(), l))
}

func TestOpenWantsTheChosenDisk(t *testing.T) {
	node := loop(t, 64<<20, "512")
	// sysfs of a machine on which this loop device is called a virtio disk, by
	// the number the kernel gave it.
	dir := t.TempDir()
	roots := hardware.Roots{Sys: filepath.Join(dir, "sys"), Dev: "/dev"}
	number, err := os.ReadFile(filepath.Join("/sys/block", filepath.Base(node), "dev"))
	must(t, err)
	block := filepath.Join(roots.Sys, "block/vdz")
	for name, text := range map[string]string{"size": "131072", "dev": string(number), "serial": "stek-1", "queue/logical_block_size": "512"} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(block, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(block, name), []byte(text), 0o644))
	}
	must(t, os.MkdirAll(filepath.Join(roots.Sys, "dev/block"), 0o755))
	must(t, os.Symlink(block, filepath.Join(roots.Sys, "dev/block", strings.TrimSpace(string(number)))))

	want := hardware.Disk{Path: node, Serial: "stek-1", Bus: "virtio", Size: 64 << 20, SectorSize: 512}
	d, err := Open(roots, want)
	must(t, err)
	var busy *BusyError
	if _, err := Open(roots, want); !errors.As(err, &busy) {
		t.Errorf("a disk in use: %v", err)
	}
	must(t, d.Close())

	var wrong *WrongDeviceError
	other := want
	other.Serial = "stek-2"
	if _, err := Open(roots, other); !errors.As(err, &wrong) || !strings.Contains(err.Error(), "serial was stek-2 and is stek-1") {
		t.Errorf("%v", err)
	}
	other = want
	other.Size *= 2
	if _, err := Open(roots, other); !errors.As(err, &wrong) {
		t.Errorf("%v", err)
	}
	other = want
	other.Path = filepath.Join(dir, "file")
	must(t, os.WriteFile(other.Path, make([]byte, 4096), 0o600))
	if _, err := Open(roots, other); err == nil {
		t.Error("a file was taken for a disk")
	}
}
