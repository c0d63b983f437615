package builder

import (
	"fmt"
	"os"
	"time"

	"github.com/stek-edge/stek/images/fat"
	"github.com/stek-edge/stek/images/layout"
)

// largestFile bounds what is read out of an image's FAT partition, bytes.
const largestFile = 256 << 20

// PutFile writes a file onto the FAT partition of an image or a stick, in place of
// one of that name.
func PutFile(image, name string, content []byte, modified time.Time) error {
	return withESP(image, os.O_RDWR, func(v *fat.Volume) error {
		return v.WriteFile(name, content, modified)
	})
}

// ReadFile reads a file from the FAT partition of an image or a stick.
func ReadFile(image, name string) (content []byte, err error) {
	err = withESP(image, os.O_RDONLY, func(v *fat.Volume) error {
		content, err = v.ReadFile(name, largestFile)
		return err
	})
	return content, err
}

func withESP(image string, flags int, do func(*fat.Volume) error) error {
	f, err := os.OpenFile(image, flags, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Seek(0, 2)
	if err != nil {
		return err
	}
	v, err := layout.OpenESP(f, size)
	if err != nil {
		return fmt.Errorf("%s: %w", image, err)
	}
	if err := do(v); err != nil {
		return fmt.Errorf("%s: %w", image, err)
	}
	if flags&os.O_RDWR != 0 {
		return f.Sync()
	}
	return nil
}
