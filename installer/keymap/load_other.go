//go:build !linux

package keymap

import "errors"

// Load is for the box, which runs Linux.
func (k *Keymap) Load() error { return errors.ErrUnsupported }
