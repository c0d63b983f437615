// Package content is what guest and test know of each other's files.
package content

import (
	"bytes"
	"fmt"
)

// Files is how many files are written.
const Files = 24

// File is the nth file, which is written and not synced; some have several blocks.
func File(n int) string { return fmt.Sprintf("files/%d", n) }

// Content is what it holds.
func Content(n int) []byte { return bytes.Repeat([]byte{byte('a' + n)}, 100+700*n) }

// Mark is the file that is synced after that.
func Mark(n int) string { return fmt.Sprintf("marks/%d", n) }
