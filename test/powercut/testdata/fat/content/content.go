// Package content is what guest and test know of each other's files.
package content

import (
	"bytes"
	"fmt"
)

// Paths on the partition.
const (
	Key     = "stek/reports/BOX0001/recovery-key.age"
	Blessed = "marks/blessed"
)

// Kernels are the names that the kernel has one after the other: as the boot loader has
// started it, with its try given back, and blessed.
var Kernels = []string{"EFI/Linux/stek-a+8-1.efi", "EFI/Linux/stek-a+9.efi", "EFI/Linux/stek-a.efi"}

// Versions is how often the key is written.
const Versions = 4

// Version is what the key holds the nth time: none is as long as another.
func Version(n int) []byte { return bytes.Repeat([]byte{byte('0' + n)}, 3000+1500*n) }

// Mark is the file that is there once the nth version is.
func Mark(n int) string { return fmt.Sprintf("marks/%d", n) }
