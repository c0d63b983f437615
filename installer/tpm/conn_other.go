//go:build !linux

package tpm

import (
	"errors"

	"github.com/google/go-tpm/tpm2/transport"
)

var errNotLinux = errors.New("a TPM device is used on Linux only")

func openCharDevice(string) (transport.TPMCloser, error) { return nil, errNotLinux }

func isNoDevice(err error) bool { return errors.Is(err, errNotLinux) }
