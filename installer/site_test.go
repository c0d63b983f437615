package installer

import (
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMountedTellsOfLostWrites: what the disk did not take while everything was written
// out is an error, though nobody synced the file. The disk is an image that may not grow
// any more.
func TestMountedTellsOfLostWrites(t *testing.T) {
	for _, full := range []bool{false, true} {
		t.Run(map[bool]string{false: "room", true: "no room"}[full], func(t *testing.T) {
			dir := t.TempDir()
			if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=32m"); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { unix.Unmount(dir, 0) })
			image := filepath.Join(dir, "image")
			tool(t, "truncate", "--size=64M", image)
			tool(t, "mkfs.ext4", "-q", "-F", image)
			node := tool(t, "losetup", "--find", "--show", image)
			t.Cleanup(func() { tool(t, "losetup", "--detach", node) })
			s := &Site{WorkDir: t.TempDir()}
			err := s.mounted(node, "ext4", func(at string) error {
				if full {
					f, err := os.Create(filepath.Join(dir, "more"))
					if err != nil {
						t.Fatal(err)
					}
					for piece := make([]byte, 4096); err == nil; {
						_, err = f.Write(piece)
					}
					f.Close()
				}
				return os.WriteFile(filepath.Join(at, "node.json"), []byte(strings.Repeat("node", 1<<20)), 0o600)
			})
			if (err != nil) != full || full && !strings.HasSuffix(RemedyOf(err), "replace it") {
				t.Errorf("%v\n%s", err, RemedyOf(err))
			}
		})
	}
}

// TestReadBack: a disk that has kept nothing of what was written is found out. Its content
// is put back to what it was.
func TestReadBack(t *testing.T) {
	dir := t.TempDir()
	image, old := filepath.Join(dir, "image"), filepath.Join(dir, "old")
	tool(t, "truncate", "--size=64M", image)
	tool(t, "mkfs.ext4", "-q", "-F", image)
	tool(t, "cp", "--sparse=always", image, old)
	node := tool(t, "losetup", "--find", "--show", image)
	t.Cleanup(func() { tool(t, "losetup", "--detach", node) })
	s := &Site{WorkDir: t.TempDir()}
	wrote := map[string][sha256.Size]byte{"stek/node.json": sha256.Sum256([]byte("node"))}
	err := s.mountedAs(forWriting, node, "ext4", func(at string) error {
		return nodeFile{"stek/node.json", "node", 0o600}.write(at)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.readBack(node, "ext4", wrote); err != nil {
		t.Fatal(err)
	}
	tool(t, "dd", "if="+old, "of="+node, "bs=1M", "conv=fsync", "status=none")
	err = s.readBack(node, "ext4", wrote)
	if err == nil || !strings.Contains(err.Error(), "stek/node.json does not read back") || !strings.HasSuffix(RemedyOf(err), "the disk is failing: replace it") {
		t.Errorf("%v\n%s", err, RemedyOf(err))
	}
}

func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", name, err, out)
	}
	return strings.TrimSpace(string(out))
}
