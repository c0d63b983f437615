package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"filippo.io/age"

	"github.com/stek-edge/stek/installer/durable"
)

// maxHeaderBytes is the largest header with its slot areas, bytes.
const maxHeaderBytes = 2*maxCopySize + maxKeyslotsSize

// Progress is told how many of the bytes are done.
type Progress func(done, total uint64)

// BackupHeader writes the LUKS2 header with its slot areas to path, encrypted to
// an age recipient. Decrypted it is the same bytes that cryptsetup
// luksHeaderBackup writes, so stock tools restore it too. The file is replaced in
// one go; a power cut leaves the old or the new one.
//
// Write a new backup after every change of the slots, and keep no old one: a slot
// that was removed since would open the volume again with it.
func (m *Manager) BackupHeader(ctx context.Context, path string, to age.Recipient, progress Progress) error {
	raw, err := m.headerBytes(ctx)
	if err != nil {
		return fmt.Errorf("backing up the LUKS2 header: %w", err)
	}
	err = durable.Replace(path, 0o600, func(w io.Writer) error {
		e, err := age.Encrypt(w, to)
		if err != nil {
			return err
		}
		const piece = 1 << 20
		for done := 0; done < len(raw); done += piece {
			if err := ctx.Err(); err != nil {
				return err
			}
			end := min(done+piece, len(raw))
			if _, err := e.Write(raw[done:end]); err != nil {
				return err
			}
			if progress != nil {
				progress(uint64(end), uint64(len(raw)))
			}
		}
		return e.Close()
	})
	if err != nil {
		return fmt.Errorf("backing up the LUKS2 header: %w", err)
	}
	return nil
}

// repaired returns the header with both of its copies good: the power may have failed
// while one was written, and the next cut may take the other.
func (m *Manager) repaired(ctx context.Context) (*Header, error) {
	h, err := Inspect(m.Device)
	if err != nil || !h.Broken {
		return h, err
	}
	// Loading the header makes cryptsetup write the broken copy anew.
	if _, err := m.cryptsetup().call(ctx, nil, nil, "luksDump", "--", m.Device); err != nil {
		return nil, fmt.Errorf("repairing the damaged header copy: %w", err)
	}
	if h, err = Inspect(m.Device); err != nil {
		return nil, err
	}
	if h.Broken {
		return nil, errors.New("one of the two header copies is damaged and could not be repaired")
	}
	return h, nil
}

// headerBytes reads both header copies and all slot areas. The plain bytes are
// never written to a file.
func (m *Manager) headerBytes(ctx context.Context) ([]byte, error) {
	before, err := m.repaired(ctx)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(m.Device)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	slots, err := byteCount(before.meta.Config.KeyslotsSize)
	if err != nil {
		return nil, err
	}
	raw := make([]byte, 2*before.source.bin.Size+slots)
	if _, err := f.ReadAt(raw, 0); err != nil {
		return nil, err
	}
	// Somebody may have changed a slot meanwhile: then the bytes are of two ages.
	copied, err := Parse(bytes.NewReader(raw), 0)
	if err != nil {
		return nil, err
	}
	after, err := Inspect(m.Device)
	if err != nil {
		return nil, err
	}
	if copied.Sequence != before.Sequence || after.Sequence != before.Sequence {
		return nil, errors.New("the header was changed while it was read: try again")
	}
	return raw, nil
}

// ErrOtherVolume means that a backup is of another volume than the one on the
// device.
var ErrOtherVolume = errors.New("the backup is of another volume")

// RestoreHeader writes a backup made by BackupHeader back to the device. A backup
// of another volume is refused with ErrOtherVolume unless forced: it would make
// the data on the device unreadable. Slots removed since the backup was made open
// the volume again.
func (m *Manager) RestoreHeader(ctx context.Context, backup io.Reader, id age.Identity, force bool) error {
	fail := func(err error) error { return fmt.Errorf("restoring the LUKS2 header: %w", err) }
	d, err := age.Decrypt(backup, id)
	if err != nil {
		return fail(err)
	}
	raw, err := io.ReadAll(io.LimitReader(d, maxHeaderBytes+1))
	if err != nil {
		return fail(err)
	}
	if len(raw) > maxHeaderBytes {
		return fail(errors.New("the backup is too large to be a header"))
	}
	h, err := Parse(bytes.NewReader(raw), 0)
	if err != nil {
		return fail(err)
	}
	there, err := Inspect(m.Device)
	switch {
	case err == nil && there.UUID != h.UUID && !force:
		return fail(ErrOtherVolume)
	case err != nil && !errors.Is(err, ErrNotLUKS) && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrRefused):
		return fail(err)
	}
	mem, err := memoryFile("stek-header-backup")
	if err != nil {
		return fail(err)
	}
	defer mem.Close()
	if _, err := mem.WriteAt(raw, 0); err != nil {
		return fail(err)
	}
	if err := m.cryptsetup().restore(ctx, mem); err != nil {
		return fail(err)
	}
	return nil
}
