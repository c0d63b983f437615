package disk

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Runner runs a program and returns what it printed. Exec is the real one.
type Runner interface {
	Run(ctx context.Context, name string, args ...string) (output []byte, err error)
}

// Exec runs programs of the system, in the C locale and with a fixed path.
type Exec struct{}

// Run starts a program and waits for it. It ends when the context ends.
func (Exec) Run(ctx context.Context, name string, args ...string) ([]byte, error) {
	for _, dir := range []string{"/usr/sbin/", "/sbin/", "/usr/bin/", "/bin/"} {
		if _, err := os.Stat(dir + name); err == nil {
			name = dir + name
			break
		}
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return out.Bytes(), err
}

// Labels of the file systems, as a person sees them on a laptop.
const (
	ESPLabel   = "STEK"
	StateFS    = "state"
	espCluster = 4096
)

// MakeESP makes the FAT32 file system of the boot partition. sector is the disk's
// logical sector size in bytes: firmware reads only FAT whose sectors are the
// disk's. Clusters of 4 KiB keep 1 GiB safely within what FAT32 may have.
// volumeID is the serial number of the file system.
func MakeESP(ctx context.Context, r Runner, device string, sector uint32, volumeID uint32) error {
	if sector != 512 && sector != 4096 {
		return fmt.Errorf("making the boot file system: sectors of %d bytes are not supported", sector)
	}
	return mkfs(ctx, r, "making the boot file system", "mkfs.vfat",
		"-F", "32", "-n", ESPLabel, "-S", fmt.Sprint(sector), "-s", fmt.Sprint(espCluster/sector), "-i", fmt.Sprintf("%08x", volumeID), device)
}

// StateOptions are what state is mounted with on a node, besides the flags. Space for a file
// is given when it is written, not when the kernel writes it back up to half a minute later:
// then what is in a file reaches the disk no later than its name and length do (data=ordered,
// the default). Otherwise a power cut leaves files empty that a program wrote and did not
// sync, beside a database that it did sync and that says they are whole: containerd and the
// CNI plugins write like that. https://docs.kernel.org/admin-guide/ext4.html
const StateOptions = "nodelalloc"

// MakeState makes the ext4 file system of state, on the opened encrypted volume.
//
// ext4 and not btrfs or xfs: what a box without a keyboard needs after a thousand
// power cuts is a file system whose repair runs by itself and ends; overlay mounts
// and SQLite (k3s) are at home on it, and every rescue stick knows it. The
// features are named one by one, so that a distribution's mke2fs.conf does not
// decide what a field box has:
//
//   - metadata_csum: a card that returns old or wrong metadata is noticed
//   - blocks of 4096 bytes, as the sectors of the encryption below
//   - one per cent in reserve instead of five, so that journald and k3s still
//     work when pods have filled the disk
//   - inode tables are zeroed by the kernel in the background after the first
//     mount; doing it now takes minutes on a large slow disk, and the checksummed
//     group descriptors make it safe against power cuts
//   - the journal is zeroed now: a remnant in it could be replayed
//   - no discard: an encrypted volume passes none on unless it was told to
//   - an error makes it read-only: a node that writes on after one spreads it
func MakeState(ctx context.Context, r Runner, device string) error {
	return mkfs(ctx, r, "making the file system of state", "mkfs.ext4",
		"-q", "-F", "-L", StateFS, "-b", "4096", "-I", "256", "-m", "1", "-e", "remount-ro",
		"-O", "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum",
		"-E", "nodiscard,lazy_itable_init=1,lazy_journal_init=0",
		device)
}

func mkfs(ctx context.Context, r Runner, doing, name string, args ...string) error {
	out, err := r.Run(ctx, name, args...)
	if err == nil {
		return nil
	}
	said := complaint(string(out))
	if len(said) > 1000 {
		said = "…" + said[len(said)-1000:]
	}
	if said == "" {
		return fmt.Errorf("%s: %s: %w", doing, name, err)
	}
	return fmt.Errorf("%s: %s: %w: %s", doing, name, err, said)
}

// complaint is what a program printed, on one line, without what mkfs.vfat says on every
// system that has no table of the DOS code page (dosfstools, charconv.c): its own does as well.
func complaint(out string) string {
	var said []string
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, "Cannot initialize conversion ") && !strings.HasPrefix(line, "Using internal CP850 ") {
			said = append(said, strings.Fields(line)...)
		}
	}
	return strings.Join(said, " ")
}
