// Package wordlist reads the reviewed lists of the image builder: words on a line,
// "#" begins a comment, empty lines count for nothing. It knows no words: what a
// list may say is for the package that has the list, and a fault there gets its
// file and line here.
//
//	err := wordlist.Each("packages.list", data, func(words []string) error {
//		if len(words) != 2 {
//			return fmt.Errorf("want \"install NAME\", found %q", words)
//		}
//		…
//	})
package wordlist

import (
	"fmt"
	"strings"
)

// Each calls do with the words of each line that has any, and stops at its first
// error. The name is only used in errors.
func Each(name string, data []byte, do func(words []string) error) error {
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		text, _, _ := strings.Cut(line, "#")
		words := strings.Fields(text)
		if len(words) == 0 {
			continue
		}
		if err := do(words); err != nil {
			return fmt.Errorf("%s:%d: %w", name, n, err)
		}
	}
	return nil
}
