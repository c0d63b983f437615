package disk

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// verityImage has veritysetup make the tree of some data.
func verityImage(t *testing.T, data []byte) (Verity, []byte) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "root")
	must(t, os.WriteFile(name, data, 0o600))
	out := tool(t, "veritysetup", "format", name, name, "--data-blocks="+strconv.Itoa(len(data)/verityBlock),
		"--hash-offset="+strconv.Itoa(len(data)), "--salt="+strings.Repeat("5a", 32))
	_, rest, _ := strings.Cut(out, "Root hash:")
	image, err := os.ReadFile(name)
	must(t, err)
	return Verity{Size: uint64(len(image)), Offset: uint64(len(data)), RootHash: strings.TrimSpace(strings.Split(rest, "\n")[0])}, image
}

func TestVerityCheck(t *testing.T) {
	for _, blocks := range []int{2, 128, 129, 128*128 + 1} {
		t.Run(strconv.Itoa(blocks)+" blocks", func(t *testing.T) {
			v, image := verityImage(t, noise(blocks*verityBlock))
			sum, err := v.Check(context.Background(), bytes.NewReader(image), nil)
			if err != nil || !bytes.Equal(sum[:], digest(image)) {
				t.Fatalf("%x, %v", sum, err)
			}
			// An image file is padded to what a partition has.
			v.Size += 1 << 20
			padded := append(bytes.Clone(image), make([]byte, 1<<20)...)
			if _, err := v.Check(context.Background(), bytes.NewReader(padded), nil); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestVerityCheckFindsDamage(t *testing.T) {
	v, image := verityImage(t, noise(300*verityBlock))
	tests := []struct {
		name   string
		at     uint64 // byte that is changed
		offset uint64
		what   string
	}{
		{"first byte", 0, 0, "the file system"},
		{"one bit in the middle", 170*verityBlock + 99, 170 * verityBlock, "the file system"},
		{"superblock", v.Offset, v.Offset, "its superblock"},
		{"salt", v.Offset + 90, 0, "the file system"},
		{"top of the tree", v.Offset + verityBlock + 3, v.Offset + verityBlock, "its hash tree"},
		{"leaf of the tree", v.Offset + 3*verityBlock, v.Offset + 3*verityBlock, "its hash tree"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			damaged := bytes.Clone(image)
			damaged[tt.at] ^= 4
			_, err := v.Check(context.Background(), bytes.NewReader(damaged), nil)
			var found *VerityError
			if !errors.As(err, &found) || found.Offset != tt.offset || found.What != tt.what {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("cut off", func(t *testing.T) {
		_, err := v.Check(context.Background(), bytes.NewReader(image[:200*verityBlock]), nil)
		var read *CopyError
		if !errors.As(err, &read) {
			t.Errorf("%v", err)
		}
	})
	t.Run("another root hash", func(t *testing.T) {
		w := v
		w.RootHash = strings.Repeat("00", 32)
		var found *VerityError
		if _, err := w.Check(context.Background(), bytes.NewReader(image), nil); !errors.As(err, &found) {
			t.Errorf("%v", err)
		}
	})
	t.Run("tree left out", func(t *testing.T) {
		w := v
		w.Size = w.Offset + verityBlock
		var found *VerityError
		if _, err := w.Check(context.Background(), bytes.NewReader(image), nil); !errors.As(err, &found) || found.What != "its hash tree" {
			t.Errorf("%v", err)
		}
	})
}

// FuzzVerity checks images that are anything: no size, place or content may make the
// check read outside or say yes to another root hash.
func FuzzVerity(f *testing.F) {
	f.Add([]byte("verity\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00"), uint16(1), uint16(2))
	f.Add(make([]byte, 100), uint16(0), uint16(0))
	f.Fuzz(func(t *testing.T, start []byte, data, all uint16) {
		if all > 64 || data > 64 {
			return
		}
		image := make([]byte, int(all)*verityBlock)
		if int(data) < int(all) {
			copy(image[int(data)*verityBlock:], start)
		}
		v := Verity{Size: uint64(len(image)), Offset: uint64(data) * verityBlock, RootHash: strings.Repeat("ab", 32)}
		if _, err := v.Check(context.Background(), bytes.NewReader(image), nil); err == nil {
			t.Error("a root hash that nothing has was found")
		}
	})
}
