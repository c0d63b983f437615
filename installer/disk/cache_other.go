//go:build !linux

package disk

import "os"

// dropFileCache has no counterpart here; the read-back then also checks memory.
func dropFileCache(*os.File) error { return nil }
