package vault

import (
	"errors"
	"fmt"
	"time"

	devmapper "github.com/anatol/devmapper.go"
	"golang.org/x/sys/unix"
)

// Unmap takes the mapping of an opened volume away, and with it the key out of the
// kernel. It retries for a few seconds: udev looks at each device that appears.
func Unmap() error {
	var err error
	for range 50 {
		if err = devmapper.Remove(MapName); !errors.Is(err, unix.EBUSY) {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err != nil {
		return fmt.Errorf("closing the encrypted volume: %w", err)
	}
	return nil
}
