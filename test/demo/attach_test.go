package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// TestTypeTo: what is typed reaches the box, byte for byte, up to the key that leaves.
func TestTypeTo(t *testing.T) {
	for _, tt := range []struct{ name, typed, want string }{
		{"keys", "\x1b[B\r0001\r", "\x1b[B\r0001\r"},
		{"Ctrl-C is for the box", "a\x03b", "a\x03b"},
		{"left", "ab\x1dcd", "ab"},
		{"nothing", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for how, in := range map[string]io.Reader{"at once": strings.NewReader(tt.typed), "key by key": iotest.OneByteReader(strings.NewReader(tt.typed))} {
				var box bytes.Buffer
				if err := typeTo(&box, in); err != nil || box.String() != tt.want {
					t.Errorf("%s: the box got %q, %v, want %q", how, box.String(), err, tt.want)
				}
			}
		})
	}
}
