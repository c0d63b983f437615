//go:build !linux

package keymap

import "errors"

// onConsole is for the box, which runs Linux.
func onConsole(func(kernel) error) error { return errors.ErrUnsupported }

// Load is for the box, which runs Linux.
func (k *Keymap) Load() error { return onConsole(k.load) }
