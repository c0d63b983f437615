//go:build !linux

package secureboot

// clearImmutable does nothing: firmware variables are written on Linux only.
func clearImmutable(string) error { return nil }
