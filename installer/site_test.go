package installer

import (
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

func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", name, err, out)
	}
	return strings.TrimSpace(string(out))
}
