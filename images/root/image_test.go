package root

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// largeTree has enough content that several threads get work, compressible and not.
func largeTree(t *testing.T) *Tree {
	t.Helper()
	tree := mkTree(t, Entry{Path: "usr/bin/ping", Kind: Regular, Perm: 0o4755, UID: 0, GID: 7, Xattr: map[string]string{"security.capability": "\x01\x00\x00\x02"}, content: File("x", 0, []byte("ping")).content},
		Link("bin", "usr/bin"), Dir("tmp", 0o1777))
	noise := uint32(1)
	for i := range 40 {
		data := make([]byte, 150_000)
		for j := range data {
			noise = noise*1664525 + 1013904223
			if i%2 == 0 {
				data[j] = byte(noise >> 24)
			} else {
				data[j] = byte(j / 1000)
			}
		}
		if err := tree.Add(File(fmt.Sprintf("usr/share/data/%03d", i), 0o644, data)); err != nil {
			t.Fatal(err)
		}
	}
	return tree
}

func squash(t *testing.T, dir string, jobs int) (string, []byte) {
	t.Helper()
	name := filepath.Join(dir, "root.squashfs")
	var last Progress
	err := Squash(t.Context(), largeTree(t), name, SquashOptions{Epoch: epoch, Jobs: jobs, Level: 3, Runner: Exec{}, Progress: func(p Progress) { last = p }})
	if err != nil {
		t.Fatal(err)
	}
	if last.Phase != "squash" || last.Total == 0 {
		t.Errorf("last progress is %+v", last)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return name, data
}

func TestSquashIsReproducible(t *testing.T) {
	name, first := squash(t, t.TempDir(), 1)
	if len(first)%VerityBlock != 0 || string(first[:4]) != "hsqs" {
		t.Errorf("the image is %d bytes long and begins with %q", len(first), first[:4])
	}
	t.Setenv("TZ", "Asia/Tokyo")
	t.Setenv("SOURCE_DATE_EPOCH", "1")
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	dir := filepath.Join(t.TempDir(), "another folder")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, second := squash(t, dir, 4); !bytes.Equal(first, second) {
		t.Error("another folder, umask, time zone and number of jobs changed the image")
	}
	left, err := os.ReadDir(filepath.Dir(name))
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	list, err := exec.Command("unsquashfs", "-lln", "-UTC", name).CombinedOutput()
	if err != nil {
		t.Fatalf("unsquashfs: %v: %s", err, list)
	}
	for _, want := range []string{"-rwsr-xr-x 0/7", "2025-10-09 08:53 squashfs-root/usr/bin/ping", "drwxrwxrwt 0/0", "bin -> usr/bin"} {
		if !strings.Contains(string(list), want) {
			t.Errorf("the image does not hold %q:\n%s", want, list)
		}
	}
}

func TestSquashReportsAFailingTool(t *testing.T) {
	dir := t.TempDir()
	if err := Squash(t.Context(), largeTree(t), filepath.Join(dir, "missing", "x"), SquashOptions{Epoch: epoch, Runner: Exec{}}); err == nil {
		t.Error("an image was written into a folder that is not there")
	}
	if err := Squash(t.Context(), largeTree(t), filepath.Join(dir, "x"), SquashOptions{Epoch: epoch, Level: 99, Runner: Exec{}}); err == nil {
		t.Error("zstd level 99 was accepted")
	}
}

func TestVerity(t *testing.T) {
	name, before := squash(t, t.TempDir(), 2)
	v, err := Verity(t.Context(), name, Exec{})
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	offset := v.DataBlocks * VerityBlock
	if offset != int64(len(before)) || !bytes.Equal(before, data[:offset]) || string(data[offset:offset+6]) != "verity" || v.Size != int64(len(data)) {
		t.Errorf("the superblock does not follow the data: %+v, %d bytes", v, len(data))
	}
	verify := func() error {
		out, err := exec.Command("veritysetup", "verify", name, name, v.RootHash, fmt.Sprintf("--hash-offset=%d", offset)).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}
	if err := verify(); err != nil {
		t.Errorf("veritysetup does not accept the image: %v", err)
	}
	data[12345] ^= 1
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if verify() == nil {
		t.Error("a changed bit went unnoticed")
	}

	other, _ := squash(t, t.TempDir(), 1)
	again, err := Verity(t.Context(), other, Exec{})
	if err != nil || again != v {
		t.Errorf("the same image has the hash tree %+v, then %+v, %v", v, again, err)
	}
}

func TestVerityRefusesPartialBlocks(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x")
	for _, size := range []int{0, 5000} {
		if err := os.WriteFile(name, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Verity(t.Context(), name, Exec{}); err == nil {
			t.Errorf("an image of %d bytes got a hash tree", size)
		}
	}
}
