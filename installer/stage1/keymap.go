package stage1

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/stek-edge/stek/images/fat"
	"github.com/stek-edge/stek/installer/keymap"
)

// useKeymap gives the console the layout that the installer left on the ESP, before
// anything is asked. The partition is open to everybody: it is read without mounting
// it, by code that bounds every step, since the volume can still be opened by the TPM.
// A box without a layout of its own keeps the kernel's.
func (s *stage1) useKeymap() error {
	if !s.isNode() || s.disk.ESP == "" {
		return nil
	}
	data, err := readKeymap(s.disk.ESP)
	if err == nil && data != nil {
		s.layout = data
		err = loadKeymap(data)
	}
	if err != nil {
		return fmt.Errorf("the layout of the keyboard on the boot partition cannot be used: %w", err)
	}
	return nil
}

// readKeymap reads the layout from an ESP, a device or an image of one; nil when
// there is none.
func readKeymap(esp string) ([]byte, error) {
	f, err := os.Open(esp)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	volume, err := fat.OpenReader(f, size)
	if err != nil {
		return nil, err
	}
	data, err := volume.ReadFile(keymap.ESPPath, int64(keymap.MaxSize))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	}
	if _, err := keymap.Parse(data); err != nil {
		return nil, err
	}
	return data, nil
}

func loadKeymap(data []byte) error {
	k, err := keymap.Parse(data)
	if err != nil {
		return err
	}
	return k.Load()
}

// settleKeymap compares the layout from the ESP with the one that the box was
// installed with, once its volume and its root are there, and gives the consoles the
// right one. Somebody may have changed the file, or lost it.
func (s *stage1) settleKeymap() error {
	name, err := configuredKeymap(filepath.Join(sysroot, "etc/vconsole.conf"))
	if err != nil {
		return err
	}
	data, err := keymap.Read(filepath.Join(sysroot, keymap.Dir), name)
	if err != nil || bytes.Equal(data, s.layout) {
		return err
	}
	s.console.Say("the layout of the keyboard on the boot partition is not the one that this box was installed with")
	if data == nil {
		return nil // the kernel's own, which is back at the next start without the file
	}
	return loadKeymap(data)
}

// configuredKeymap reads KEYMAP= out of vconsole.conf(5); empty without one.
func configuredKeymap(file string) (string, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "KEYMAP="); ok {
			return strings.Trim(name, `"`), nil
		}
	}
	return "", nil
}
