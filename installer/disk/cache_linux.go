package disk

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// dropFileCache drops the clean pages of a file from memory (posix_fadvise(2)).
func dropFileCache(f *os.File) error {
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		return fmt.Errorf("dropping %s from memory: %w", f.Name(), err)
	}
	return nil
}
