//go:build !linux

package vault

import (
	"errors"
	"os"
)

// Opening and restoring need Linux; on other systems this package only reads
// headers and tokens.

func (h *Header) opener() (o opener, done func(), err error) {
	return nil, nil, errors.ErrUnsupported
}

func memoryFile(string) (*os.File, error) { return nil, errors.ErrUnsupported }
