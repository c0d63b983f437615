package fat_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/stek-edge/stek/images/fat"
)

// sparse is a small device that pretends to be as large as its boot sector
// says: what lies behind the bytes it holds is zero.
type sparse struct {
	data []byte
	size int64
}

func (s sparse) ReadAt(b []byte, at int64) (int, error) {
	if at < 0 || at >= s.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(b)), s.size-at))
	clear(b[:n])
	if at < int64(len(s.data)) {
		copy(b[:n], s.data[at:])
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// small returns the beginning of a file system with a few files, as far as it
// holds anything.
func small(t testing.TB) []byte {
	f := image(t, fat.MinSize)
	v := format(t, f, fat.MinSize)
	must(t, v.WriteFile("stek/preseed.yaml", content(3000, 1), epoch))
	must(t, v.WriteFile("EFI/BOOT/BOOTX64.EFI", content(2000, 2), epoch))
	data, err := os.ReadFile(f.Name())
	must(t, err)
	return bytes.TrimRight(data, "\x00")
}

// layout of what small makes
const (
	fatStart   = 32 * 512
	entryBytes = 4
)

func TestHostile(t *testing.T) {
	good := small(t)
	dataStart := bytes.Index(good, []byte("STEK       \x08"))
	edit := func(change func(b []byte)) []byte {
		b := bytes.Clone(good)
		change(b)
		return b
	}
	put := func(b []byte, cluster int, next uint32) {
		binary.LittleEndian.PutUint32(b[fatStart+entryBytes*cluster:], next)
	}
	stek := bytes.Index(good[dataStart:], []byte("STEK~1  ")) // its short entry; the name needs a long one
	for name, data := range map[string][]byte{
		"no boot sector":             make([]byte, 512),
		"sectors of 3 bytes":         edit(func(b []byte) { b[11], b[12] = 3, 0 }),
		"clusters of no sectors":     edit(func(b []byte) { b[13] = 0 }),
		"more sectors than the disk": edit(func(b []byte) { binary.LittleEndian.PutUint32(b[32:], 0xffffffff) }),
		"a FAT too short":            edit(func(b []byte) { binary.LittleEndian.PutUint32(b[36:], 1) }),
		"a FAT of 2 TiB":             edit(func(b []byte) { binary.LittleEndian.PutUint32(b[36:], 0xffffffff) }),
		"root outside":               edit(func(b []byte) { binary.LittleEndian.PutUint32(b[44:], 0x0ffffff0) }),
		"root in a circle":           edit(func(b []byte) { put(b, 2, 2) }),
		"root leads outside":         edit(func(b []byte) { put(b, 2, 0x0ffffff0) }),
		"root leads to free":         edit(func(b []byte) { put(b, 2, 500) }),
		"a directory holds itself": edit(func(b []byte) {
			binary.LittleEndian.PutUint16(b[dataStart+stek+26:], 2)
		}),
	} {
		t.Run(name, func(t *testing.T) {
			v, err := fat.OpenReader(sparse{data, fat.MinSize}, fat.MinSize)
			if err == nil {
				err = v.Walk(func(string, fat.Entry) error { return nil })
			}
			if !errors.Is(err, fat.ErrFormat) {
				t.Fatalf("error %v, want ErrFormat", err)
			}
		})
	}
}

func TestSizeWithoutClusters(t *testing.T) {
	good := small(t)
	at := bytes.LastIndex(good, []byte("PRESEE~1YAM"))
	binary.LittleEndian.PutUint32(good[at+28:], 0xffffffff)
	v, err := fat.OpenReader(sparse{good, fat.MinSize}, fat.MinSize)
	must(t, err)
	if _, err := v.ReadFile("stek/preseed.yaml", 1<<40); !errors.Is(err, fat.ErrFormat) {
		t.Fatalf("error %v, want ErrFormat", err)
	}
	if _, err := v.ReadFile("stek/preseed.yaml", 1<<20); err == nil {
		t.Fatal("the limit was ignored")
	}
}

func FuzzVolume(f *testing.F) {
	f.Add(small(f))
	f.Add([]byte("no boot sector"))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := fat.OpenReader(sparse{data, fat.MinSize}, fat.MinSize)
		if err != nil {
			return
		}
		var names []string
		if err := v.Walk(func(name string, e fat.Entry) error {
			names = append(names, name)
			return nil
		}); err != nil {
			return
		}
		for _, name := range names[:min(len(names), 20)] {
			_, _ = v.ReadFile(name, 1<<20)
		}
		_ = v.WriteFile("stek/preseed.yaml", []byte("x"), epoch) // read-only: must fail, not panic
	})
}

// overlay is a sparse that can be written to.
type overlay struct {
	sparse
	written map[int64]byte
}

func (o overlay) ReadAt(b []byte, at int64) (int, error) {
	n, err := o.sparse.ReadAt(b, at)
	if len(o.written) == 0 {
		return n, err
	}
	for i := range b[:n] {
		if c, ok := o.written[at+int64(i)]; ok {
			b[i] = c
		}
	}
	return n, err
}

func (o overlay) WriteAt(b []byte, at int64) (int, error) {
	for i, c := range b {
		o.written[at+int64(i)] = c
	}
	return len(b), nil
}

// FuzzMend: what was mended needs no mending.
func FuzzMend(f *testing.F) {
	f.Add(small(f))
	f.Fuzz(func(t *testing.T, data []byte) {
		o := overlay{sparse{data, fat.MinSize}, map[int64]byte{}}
		if _, err := fat.Mend(o, fat.MinSize); err != nil {
			return
		}
		if done, err := fat.Mend(o, fat.MinSize); err != nil || done != nil {
			t.Errorf("%q, %v", done, err)
		}
	})
}
