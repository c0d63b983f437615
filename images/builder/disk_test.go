package builder

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stek-edge/stek/firmware/secureboot"
	"github.com/stek-edge/stek/images/component"
	"github.com/stek-edge/stek/images/esp"
	"github.com/stek-edge/stek/images/root"
)

// TestDiskIsLeftAlone: an image file that holds the right bytes is not written again,
// any other is.
func TestDiskIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	keys, err := secureboot.Generate(DefaultEpoch)
	if err != nil {
		t.Fatal(err)
	}
	packed := bytes.Repeat([]byte("root"), 4096)
	made := &madeRoot{Image: filepath.Join(dir, "root.img"), Verity: root.VerityTree{
		RootHash: string(bytes.Repeat([]byte("ab"), 32)), Size: int64(len(packed)),
	}}
	write(t, made.Image, string(packed))
	boot := &firmwareFiles{loader: []byte("loader"), image: []byte("kernel")}
	var tasks []string
	o := Options{
		Arch: "amd64", Version: "1", Output: filepath.Join(dir, "stek.img"), Cache: filepath.Join(dir, "cache"), Epoch: DefaultEpoch,
		Report: func(p component.Progress) { tasks = append(tasks, p.Task) },
	}
	var first string
	for _, step := range []struct {
		name      string
		change    func()
		unchanged bool // the file
		same      bool // the digest
	}{
		{"first", func() {}, false, true},
		{"again", func() {}, true, true},
		{"the file was changed", func() {
			if err := PutFile(o.Output, esp.Preseed, []byte("stek: 1\n"), DefaultEpoch); err != nil {
				t.Fatal(err)
			}
		}, false, true},
		{"the file was removed", func() { os.Remove(o.Output) }, false, true},
		{"another kernel", func() { boot.image = []byte("another") }, false, false},
	} {
		t.Run(step.name, func(t *testing.T) {
			step.change()
			tasks = nil
			var result Result
			if err := o.disk(t.Context(), boot, made, keys, &result); err != nil {
				t.Fatal(err)
			}
			if first == "" {
				first = result.SHA256
			}
			if result.Unchanged != step.unchanged || (result.SHA256 == first) != step.same || len(result.SHA256) != 64 {
				t.Errorf("got %+v, want unchanged %t, same %t", result, step.unchanged, step.same)
			}
			if wrote := slices.Contains(tasks, "writing the image"); wrote == step.unchanged {
				t.Errorf("written: %t", wrote)
			}
		})
	}
}
