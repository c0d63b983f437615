package vault

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestInspectFreshVolume(t *testing.T) {
	m, _ := newVolume(t, FormatOptions{Order: []Kind{KindTPM2, KindPassphrase}})
	h := inspect(t, m)
	if h.Label != Label || h.Cipher != AESXTS || h.Sector != 4096 || h.Offset != 16<<20 || h.Broken {
		t.Errorf("header: %+v", h)
	}
	if len(h.Slots) != 1 || h.Slots[0].Kind != KindRecovery || h.Slots[0].KDF != "pbkdf2" || h.Slots[0].Problem != nil {
		t.Errorf("slots: %+v", h.Slots[0])
	}
	if got := h.Order(); len(got) != 2 || got[0] != KindTPM2 || got[1] != KindPassphrase {
		t.Errorf("order: %v", got)
	}
	if got := strings.TrimSpace(string(tool(t, nil, "cryptsetup", "luksUUID", m.Device))); got != h.UUID {
		t.Errorf("UUID %s, cryptsetup says %s", h.UUID, got)
	}
}

// TestTwoFormatsDiffer: no two installs share a volume key, a UUID or a salt.
func TestTwoFormatsDiffer(t *testing.T) {
	key := NewRecoveryKey() // the same one, to see that the rest still differs
	a, _ := newVolume(t, FormatOptions{Recovery: key})
	b, _ := newVolume(t, FormatOptions{Recovery: key})
	if inspect(t, a).UUID == inspect(t, b).UUID {
		t.Error("the same UUID twice")
	}
	ka, kb := dumpVolumeKey(t, a, key), dumpVolumeKey(t, b, key)
	if len(ka) != 64 || bytes.Equal(ka, kb) {
		t.Errorf("volume keys of %d and %d bytes, equal: %v", len(ka), len(kb), bytes.Equal(ka, kb))
	}
}

// dumpVolumeKey lets cryptsetup recover the volume key.
func dumpVolumeKey(t testing.TB, m *Manager, key RecoveryKey) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "volume.key")
	tool(t, []byte(key.Reveal()), "cryptsetup", "luksDump", "--batch-mode", "--dump-volume-key",
		"--volume-key-file", out, "--key-file", "-", m.Device)
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestHeaderCopies damages header copies the way worn disks and power cuts do.
func TestHeaderCopies(t *testing.T) {
	m, key := newVolume(t, FormatOptions{})
	c, _, err := pickCopy(bytes.NewReader(readHead(t, m.Device, 1<<20)))
	if err != nil {
		t.Fatal(err)
	}
	size := int64(c.bin.Size)
	noise := bytes.Repeat([]byte{0xa5}, 512)
	tests := []struct {
		name   string
		damage func(path string)
		err    error // nil: opens with one copy
	}{
		{"first copy's JSON", func(p string) { writeAt(t, p, noise, 5000) }, nil},
		{"first copy's magic", func(p string) { writeAt(t, p, noise, 0) }, nil},
		{"first copy zeroed", func(p string) { writeAt(t, p, make([]byte, size), 0) }, nil},
		{"second copy", func(p string) { writeAt(t, p, noise, size+5000) }, nil},
		{"both copies", func(p string) { writeAt(t, p, noise, 5000); writeAt(t, p, noise, size+5000) }, ErrDamaged},
		{"both magics", func(p string) { writeAt(t, p, noise, 0); writeAt(t, p, noise, size) }, ErrNotLUKS},
		{"plain file system", func(p string) {
			writeAt(t, p, make([]byte, 2*size), 0)
			writeAt(t, p, []byte{0x53, 0xef}, 0x438) // ext4's magic
		}, ErrNotLUKS},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state.img")
			tool(t, nil, "cp", "--sparse=always", m.Device, path)
			tt.damage(path)
			h, err := Inspect(path)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if tt.err != nil {
				return
			}
			if !h.Broken {
				t.Error("the damage was not reported")
			}
			v, err := h.Unlock(context.Background(), ByKey(key.Reveal()))
			if err != nil {
				t.Fatal(err)
			}
			v.Close()
		})
	}
}

func TestSmallAndForeignFiles(t *testing.T) {
	for name, content := range map[string][]byte{
		"empty":      {},
		"one byte":   {1},
		"magic only": []byte(magicPrimary),
		"zeros":      make([]byte, 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Parse(bytes.NewReader(content), uint64(len(content))); !errors.Is(err, ErrNotLUKS) {
				t.Errorf("error %v", err)
			}
		})
	}
	t.Run("no such device", func(t *testing.T) {
		if _, err := Inspect(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("LUKS1", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "luks1.img")
		tool(t, nil, "truncate", "-s", "8M", path)
		tool(t, []byte("some passphrase"), "cryptsetup", "luksFormat", "-q", "--type", "luks1", "--pbkdf-force-iterations", "1000", path, "-")
		if _, err := Inspect(path); !errors.Is(err, ErrRefused) {
			t.Errorf("error %v", err)
		}
	})
}

// TestNewerCopyWins: a cut between the writes of the two copies.
func TestNewerCopyWins(t *testing.T) {
	m, _ := newVolume(t, FormatOptions{})
	head := readHead(t, m.Device, 1<<20)
	c, _, err := pickCopy(bytes.NewReader(head))
	if err != nil {
		t.Fatal(err)
	}
	text := string(c.json)
	newer := pair(c, text, func(b *binaryHeader, second bool) {
		if second {
			b.Sequence += 7
		}
	})
	h, err := Parse(bytes.NewReader(newer), imageSize)
	if err != nil || h.Sequence != c.bin.Sequence+7 {
		t.Fatalf("sequence %v, error %v", h, err)
	}
	other := pair(c, text, func(b *binaryHeader, second bool) {
		if second {
			copy(b.UUID[:], "01234567")
		}
	})
	if _, err := Parse(bytes.NewReader(other), imageSize); !errors.Is(err, ErrRefused) {
		t.Errorf("two volumes in one header: %v", err)
	}
}
