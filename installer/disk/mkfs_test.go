package disk

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stek-edge/stek/installer/hardware"
)

func TestMakeESP(t *testing.T) {
	for _, sector := range []uint32{512, 4096} {
		file := image(t, ESPSize, sector)
		must(t, MakeESP(context.Background(), Exec{}, file.Name(), sector, 0x1a2b3c4d))
		if out := tool(t, "fsck.vfat", "-n", "-v", file.Name()); !strings.Contains(out, "FATs, 32 bit entries") {
			t.Error(out)
		}
		found, err := hardware.Probe(file, ESPSize)
		must(t, err)
		if len(found) != 1 || found[0].Type != "vfat" || found[0].Label != ESPLabel || found[0].UUID != "1A2B-3C4D" {
			t.Errorf("%+v", found)
		}
	}
	if err := MakeESP(context.Background(), Exec{}, "/nonexistent/esp", 520, 0); err == nil {
		t.Error("odd sectors were taken")
	}
}

func TestMakeState(t *testing.T) {
	file := image(t, 5<<30, 512)
	must(t, MakeState(context.Background(), Exec{}, file.Name()))
	tool(t, "e2fsck", "-fn", file.Name())
	out := tool(t, "dumpe2fs", "-h", file.Name())
	for _, want := range []string{"metadata_csum", "has_journal", "Block size:               4096", "Errors behavior:          Remount read-only", "Filesystem volume name:   state"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in %s", want, out)
		}
	}
	if strings.Contains(out, "orphan_file") {
		t.Error("a feature that older rescue sticks do not know")
	}
}

func TestMkfsFails(t *testing.T) {
	err := MakeState(context.Background(), Exec{}, filepath.Join(t.TempDir(), "gone"))
	if err == nil || !strings.Contains(err.Error(), "making the file system of state: mkfs.ext4: exit status 1: ") || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := MakeESP(ctx, Exec{}, image(t, ESPSize, 512).Name(), 512, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// says is a program that prints something and fails.
type says string

func (s says) Run(context.Context, string, ...string) ([]byte, error) {
	return []byte(s), errors.New("exit status 1")
}

func TestMkfsSays(t *testing.T) {
	for _, tt := range []struct{ name, printed, want string }{
		{"nothing", "", "making the boot file system: mkfs.vfat: exit status 1"},
		{"two lines", "mkfs.fat 4.2 (2021-01-31)\nmkfs.vfat: unable to open  /dev/sda1\n", "making the boot file system: mkfs.vfat: exit status 1: mkfs.fat 4.2 (2021-01-31) mkfs.vfat: unable to open /dev/sda1"},
		{"of its code page", "Cannot initialize conversion from codepage 850 to ANSI_X3.4-1968: Invalid argument\n" +
			"Cannot initialize conversion from ANSI_X3.4-1968 to codepage 850: Invalid argument\n" +
			"Using internal CP850 conversion table\nmkfs.vfat: failed whilst writing root directory\n",
			"making the boot file system: mkfs.vfat: exit status 1: mkfs.vfat: failed whilst writing root directory"},
	} {
		if err := MakeESP(t.Context(), says(tt.printed), "/dev/sda1", 512, 1); err == nil || err.Error() != tt.want {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	long := strings.Repeat("a line\n", 1000)
	if err := MakeESP(t.Context(), says(long), "/dev/sda1", 512, 1); err == nil || len(err.Error()) > 1100 || !strings.HasSuffix(err.Error(), "a line a line") {
		t.Errorf("%v", err)
	}
}

// TestWholeInstall partitions an image and fills every partition, the way the
// installer does, and asks stock tools about the result.
func TestWholeInstall(t *testing.T) {
	target := image(t, MinDiskSize, 512)
	l := mkLayout(t, MinDiskSize, 512)
	must(t, Partition(context.Background(), target, l, PartitionOptions{}))

	part := func(name string) Part { p, _ := l.Part(name); return p }
	fill := func(p Part, make func(file string), bytes uint64) {
		f := image(t, int64(p.Size), 512)
		make(f.Name())
		must(t, f.Truncate(int64(p.Size))) // mksquashfs cuts it to its content
		_, err := Copy(context.Background(), Section(target, p.Start, p.Size), f, bytes, CopyOptions{})
		must(t, err)
	}
	fill(part(ESP), func(f string) { must(t, MakeESP(context.Background(), Exec{}, f, 512, 7)) }, 16<<20)
	tree := t.TempDir()
	must(t, os.WriteFile(filepath.Join(tree, "init"), []byte("x"), 0o700))
	fill(part(RootA), func(f string) { tool(t, "mksquashfs", tree, f, "-noappend", "-quiet") }, 1<<20)
	fill(part(State), func(f string) {
		tool(t, "cryptsetup", "luksFormat", "-q", "--pbkdf=pbkdf2", "--pbkdf-force-iterations=1000", "--label="+StateLabel,
			"--key-file="+filepath.Join(tree, "init"), f)
	}, 16<<20)
	must(t, Verify(target, l)) // no copy reached outside its partition

	d := hardware.Disk{Path: "/dev/vdb", Size: MinDiskSize, SectorSize: 512, Bus: "virtio"}
	must(t, hardware.ReadContent(target, &d))
	var got []string
	for _, p := range d.Partitions {
		got = append(got, p.Name+" "+p.Content+" "+p.Label)
	}
	if want := []string{"esp vfat STEK", "root-a squashfs ", "root-b  ", "state crypto_LUKS stek-state"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if !HoldsStek(d) {
		t.Error("the installer does not know its own work again")
	}
	if out := tool(t, "sgdisk", "-v", target.Name()); !strings.Contains(out, "No problems found") {
		t.Error(out)
	}
	esp := image(t, ESPSize, 512)
	_, err := io.Copy(esp, io.NewSectionReader(target, int64(part(ESP).Start), 16<<20))
	must(t, err)
	tool(t, "fsck.vfat", "-n", esp.Name())
}
