package vault

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"filippo.io/age"

	"github.com/stek-edge/stek/installer/durable"
)

func TestHeaderBackup(t *testing.T) {
	ctx := context.Background()
	m, key := newVolume(t, FormatOptions{})
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "header-backup.age")
	var last, total uint64
	if err := m.BackupHeader(ctx, path, id.Recipient(), func(d, n uint64) { last, total = d, n }); err != nil {
		t.Fatal(err)
	}
	if last != 16<<20 || total != last {
		t.Errorf("progress ended at %d of %d", last, total)
	}

	// It is what cryptsetup would have written.
	stock := filepath.Join(dir, "stock.bak")
	tool(t, nil, "cryptsetup", "luksHeaderBackup", "--header-backup-file", stock, m.Device)
	want, err := os.ReadFile(stock)
	if err != nil {
		t.Fatal(err)
	}
	if got := decrypt(t, path, id); !bytes.Equal(got, want) {
		t.Errorf("%d bytes that differ from cryptsetup's %d", len(got), len(want))
	}

	// A change, a second backup over the first, a disaster, and back.
	if _, err := m.AddKeyStick(ctx, []byte(key.Reveal()), NewKeyFile()); err != nil {
		t.Fatal(err)
	}
	if err := m.BackupHeader(ctx, path, id.Recipient(), nil); err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*.new")); err != nil || len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
	writeAt(t, m.Device, make([]byte, 1<<20), 0)
	if _, err := Inspect(m.Device); !errors.Is(err, ErrNotLUKS) {
		t.Fatal(err)
	}
	if err := restoreFrom(m, path, id, false); err != nil {
		t.Fatal(err)
	}
	if opens(t, m, []byte(key.Reveal())) != 0 || len(inspect(t, m).Of(KindKeyStick)) != 1 {
		t.Error("not restored as it was")
	}

	t.Run("another volume", func(t *testing.T) {
		other, _ := newVolume(t, FormatOptions{})
		if err := restoreFrom(other, path, id, false); !errors.Is(err, ErrOtherVolume) {
			t.Errorf("error %v", err)
		}
		if err := restoreFrom(other, path, id, true); err != nil {
			t.Error(err)
		}
		if opens(t, other, []byte(key.Reveal())) != 0 {
			t.Error("forced, but not restored")
		}
	})
	t.Run("another identity", func(t *testing.T) {
		wrong, err := age.GenerateX25519Identity()
		if err != nil {
			t.Fatal(err)
		}
		if err := restoreFrom(m, path, wrong, true); err == nil {
			t.Error("restored")
		}
	})
	t.Run("not a header", func(t *testing.T) {
		junk := filepath.Join(t.TempDir(), "junk.age")
		err := durable.Replace(junk, 0o600, func(w io.Writer) error {
			e, err := age.Encrypt(w, id.Recipient())
			if err != nil {
				return err
			}
			if _, err := e.Write(make([]byte, 1<<20)); err != nil {
				return err
			}
			return e.Close()
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := restoreFrom(m, junk, id, true); !errors.Is(err, ErrNotLUKS) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("cut off", func(t *testing.T) {
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		short := filepath.Join(t.TempDir(), "short.age")
		if err := os.WriteFile(short, whole[:len(whole)/2], 0o600); err != nil {
			t.Fatal(err)
		}
		if err := restoreFrom(m, short, id, true); err == nil {
			t.Error("restored")
		}
		if opens(t, m, []byte(key.Reveal())) != 0 {
			t.Error("the volume was damaged by the try")
		}
	})
	t.Run("no room", func(t *testing.T) {
		if err := m.BackupHeader(ctx, filepath.Join(path, "x.age"), id.Recipient(), nil); err == nil {
			t.Error("written nowhere")
		}
	})
	t.Run("cancelled keeps the old one", func(t *testing.T) {
		stopped, cancel := context.WithCancel(ctx)
		cancel()
		if err := m.BackupHeader(stopped, path, id.Recipient(), nil); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		if len(decrypt(t, path, id)) != 16<<20 {
			t.Error("the old backup is gone")
		}
	})
}

// TestBackupRepairs: a damaged copy is repaired before it would get into a backup.
// TestStartsRepair: a header copy that a power cut has damaged is good again after the
// next start, although that start has nothing to change.
func TestStartsRepair(t *testing.T) {
	for name, copies := range map[string]int64{"first copy": 0, "second copy": 1} {
		t.Run(name, func(t *testing.T) {
			m, _ := newVolume(t, FormatOptions{})
			writeAt(t, m.Device, make([]byte, 4096), copies*int64(inspect(t, m).source.bin.Size))
			if !inspect(t, m).Broken {
				t.Fatal("not broken")
			}
			if _, err := m.Settle(t.Context(), Opened{}, nil); err != nil {
				t.Fatal(err)
			}
			if inspect(t, m).Broken {
				t.Error("still broken")
			}
		})
	}
}

func TestBackupRepairs(t *testing.T) {
	m, _ := newVolume(t, FormatOptions{})
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	writeAt(t, m.Device, make([]byte, 4096), 0)
	if !inspect(t, m).Broken {
		t.Fatal("not broken")
	}
	path := filepath.Join(t.TempDir(), "b.age")
	if err := m.BackupHeader(context.Background(), path, id.Recipient(), nil); err != nil {
		t.Fatal(err)
	}
	if inspect(t, m).Broken {
		t.Error("still broken")
	}
	h, err := Parse(bytes.NewReader(decrypt(t, path, id)), 0)
	if err != nil || h.Broken {
		t.Errorf("the backup: %v", err)
	}
}

func decrypt(t testing.TB, path string, id age.Identity) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := age.Decrypt(f, id)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func restoreFrom(m *Manager, path string, id age.Identity, force bool) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return m.RestoreHeader(context.Background(), f, id, force)
}
