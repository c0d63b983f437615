package vm

import (
	"bytes"
	"testing"
)

func TestStrip(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"plain text", "one\r\ntwo\n", "one\ntwo\n"},
		{"colours", "\x1b[1;32mok\x1b[0m\n", "ok\n"},
		{"cursor moved to another row", "first\x1b[05;01Hsecond", "first\nsecond"},
		{"screen cleared", "old\x1b[2J\x1b[01;01Hnew", "old\nnew"},
		{"cursor moved in the row", "a\x1b[3Cb", "ab"},
		{"window title ended by BEL", "\x1b]0;title\x07text", "text"},
		{"window title ended by ST", "\x1b]0;title\x1b\\text", "text"},
		{"device control string with an escape inside", "\x1bPq\x1b[mstill\x1b\\text", "text"},
		{"character set", "\x1b(Btext", "text"},
		{"private mode", "\x1b[?25htext\x1b[?2004l", "text"},
		{"two-byte sequence", "\x1b=text\x1b7", "text"},
		{"escape broken off by another", "\x1b[12\x1b[mtext", "text"},
		{"control characters", "a\x00b\x08c\x07\x7f\td", "abc\td"},
		{"empty lines fall together", "a\n\r\n\r\nb", "a\nb"},
		{"UTF-8", "Größe ✓\n", "Größe ✓\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var whole stripper
			if got := string(whole.strip(nil, []byte(test.in))); got != test.want {
				t.Errorf("in one piece: %q, want %q", got, test.want)
			}
			var bytewise stripper
			var got []byte
			for i := range len(test.in) {
				got = bytewise.strip(got, []byte{test.in[i]})
			}
			if string(got) != test.want {
				t.Errorf("byte by byte: %q, want %q", got, test.want)
			}
		})
	}
}

// Whatever a guest prints, the plain form holds no control characters but tab and
// newline, and does not depend on where reads end.
func FuzzStrip(f *testing.F) {
	f.Add([]byte("\x1b[1;32mok\x1b[0m\r\n"), 3)
	f.Add([]byte("\x1b]0;t\x1b\\x\x1bP\x1b\x1b[H"), 5)
	f.Fuzz(func(t *testing.T, in []byte, cut int) {
		var whole, pieces stripper
		want := whole.strip(nil, in)
		if i := bytes.IndexFunc(want, func(r rune) bool { return r < 0x20 && r != '\n' && r != '\t' || r == 0x7f }); i >= 0 {
			t.Errorf("control character %#x is left", want[i])
		}
		cut = max(0, min(cut, len(in)))
		got := pieces.strip(pieces.strip(nil, in[:cut]), in[cut:])
		if !bytes.Equal(got, want) {
			t.Errorf("cut at %d: %q, want %q", cut, got, want)
		}
	})
}
