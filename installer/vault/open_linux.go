package vault

import (
	"crypto"
	"errors"
	"fmt"
	"os"
	"reflect"

	devmapper "github.com/anatol/devmapper.go"
	luks "github.com/anatol/luks.go"
	"golang.org/x/sys/unix"
)

// luksOpener opens slots with luks.go. The library reads the header from its own
// file, which holds nothing but what this package checked and encoded anew.
type luksOpener struct{ dev luks.Device }

// opener prepares the key slots for opening. done releases what it holds.
func (h *Header) opener() (o opener, done func(), err error) {
	data, err := os.Open(h.path)
	if err != nil {
		return nil, nil, err
	}
	defer data.Close()
	mem, err := memoryFile("stek-luks-header")
	if err != nil {
		return nil, nil, err
	}
	defer mem.Close() // the library opens it again by its path below
	if err := h.writeChecked(mem, data); err != nil {
		return nil, nil, err
	}
	dev, err := luks.OpenWithHeader(h.path, fmt.Sprintf("/proc/self/fd/%d", mem.Fd()))
	if err != nil {
		return nil, nil, err
	}
	return luksOpener{dev}, func() { dev.Close() }, nil
}

// writeChecked writes a header copy made from checked values, and the areas of
// the slots that may be tried, to the places they have on the device.
func (h *Header) writeChecked(mem *os.File, data *os.File) error {
	raw, err := h.encodeChecked()
	if err != nil {
		return err
	}
	if _, err := mem.WriteAt(raw, 0); err != nil {
		return err
	}
	for _, s := range h.Slots {
		if s.Problem != nil {
			continue
		}
		offset, size := s.areaRange()
		area := make([]byte, size)
		if _, err := data.ReadAt(area, int64(offset)); err != nil {
			return fmt.Errorf("slot %d: %w", s.ID, err)
		}
		if _, err := mem.WriteAt(area, int64(offset)); err != nil {
			return err
		}
	}
	return nil
}

func (o luksOpener) open(slot int, passphrase []byte) (volumeKey, error) {
	v, err := o.dev.UnsealVolume(slot, passphrase)
	if errors.Is(err, luks.ErrPassphraseDoesNotMatch) {
		return nil, ErrWrongKey
	}
	if err != nil {
		return nil, fmt.Errorf("opening the key slot: %w", err)
	}
	return luksKey{v}, nil
}

type luksKey struct{ v *luks.Volume }

func (k luksKey) hmac(h crypto.Hash, message []byte) ([]byte, error) { return k.v.HMAC(h, message) }

func (k luksKey) mapAs(name string) (string, error) {
	// A partition that is not a whole number of sectors long: dm-crypt would
	// refuse it, cryptsetup rounds down.
	k.v.StorageSize -= k.v.StorageSize % k.v.StorageSectorSize
	k.v.Flags = []string{luks.FlagAllowDiscards, luks.FlagNoReadWorkqueue, luks.FlagNoWriteWorkqueue}
	if err := k.v.SetupMapper(name); err != nil {
		return "", err
	}
	list, err := devmapper.List()
	if err != nil {
		return "", fmt.Errorf("listing mapped devices: %w", err)
	}
	for _, item := range list {
		if item.Name == name {
			return fmt.Sprintf("/dev/dm-%d", unix.Minor(item.DevNo)), nil
		}
	}
	return "", errors.New("the mapped device is not there")
}

// wipe reaches into luks.Volume, which offers no way to drop its key. A version
// of the library that names the field otherwise is caught by a test.
func (k luksKey) wipe() { clear(k.bytes()) }

func (k luksKey) bytes() []byte {
	f := reflect.ValueOf(k.v).Elem().FieldByName("key")
	if !f.IsValid() || f.Kind() != reflect.Slice {
		return nil
	}
	return f.Bytes()
}

// memoryFile makes a file that exists only in memory and goes when it is closed.
func memoryFile(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("making a file in memory: %w", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}
