package vm

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

// secret holds characters that differ between the forms of base64.
var secret = []byte("\xfb\xef\xbe7 recovery key \xff\xfe?")

func TestScanFindsEachForm(t *testing.T) {
	word := []byte("open sesame, Größe 42")
	wide := func(order func(lo, hi byte) []byte, runes []rune) (out []byte) {
		for _, r := range runes {
			out = append(out, order(byte(r), byte(r>>8))...)
		}
		return out
	}
	little := func(lo, hi byte) []byte { return []byte{lo, hi} }
	big := func(lo, hi byte) []byte { return []byte{hi, lo} }
	tests := []struct {
		name  string
		value []byte
		disk  string
		form  string // "" when it must not be found
	}{
		{"as it is", secret, string(secret), "raw"},
		{"small hex", secret, hex.EncodeToString(secret), "hex"},
		{"capital hex", secret, strings.ToUpper(hex.EncodeToString(secret)), "HEX"},
		{"base64", secret, base64.StdEncoding.EncodeToString(secret), "base64"},
		{"base64 for addresses", secret, base64.URLEncoding.EncodeToString(secret), "base64url"},
		{"base64 behind one byte", secret, base64.StdEncoding.EncodeToString(append([]byte("x"), secret...)), "base64"},
		{"base64 behind two bytes, more behind", secret, base64.StdEncoding.EncodeToString(append(append([]byte("xy"), secret...), "zz"...)), "base64"},
		{"base64 behind three bytes", secret, base64.StdEncoding.EncodeToString(append([]byte("xyz"), secret...)), "base64"},
		{"base32 behind three bytes", secret, base32.StdEncoding.EncodeToString(append([]byte("xyz"), secret...)), "base32"},
		{"UTF-16, little endian", word, string(wide(little, []rune(string(word)))), "utf-16le"},
		{"UTF-16, big endian", word, string(wide(big, []rune(string(word)))), "utf-16be"},
		{"only most of it", secret, string(secret[:len(secret)-1]), ""},
		{"nothing", secret, "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			canary := Canary{Name: "the key", Value: test.value}
			disk := strings.Repeat("\xee", 1000) + test.disk + strings.Repeat("\xff", 1000)
			for _, reader := range []io.Reader{strings.NewReader(disk), iotest.OneByteReader(strings.NewReader(disk))} {
				found, err := Scan(t.Context(), reader, canary)
				if err != nil {
					t.Fatal(err)
				}
				if test.form == "" {
					if len(found) != 0 {
						t.Errorf("found %v, want nothing", found)
					}
					continue
				}
				if len(found) != 1 || found[0].Form != test.form || found[0].Canary != "the key" {
					t.Fatalf("found %v, want one as %s", found, test.form)
				}
				if at := found[0].Offset; at < 1000 || at > 1006 {
					t.Errorf("found at %d, want 1000 or a few characters on", at)
				}
			}
		})
	}
}

// A value that lies across two pieces of the read is found, once, at its place.
func TestScanAcrossPieces(t *testing.T) {
	noise := make([]byte, 9<<20)
	rand.Read(noise)
	for _, at := range []int{0, 4<<20 - 5, 4 << 20, 4<<20 + 200, 8<<20 - 1, len(noise) - len(secret)} {
		disk := bytes.Clone(noise)
		copy(disk[at:], secret)
		found, err := Scan(t.Context(), bytes.NewReader(disk), Canary{"key", secret}, Canary{"other", []byte("not on this disk")})
		if err != nil || len(found) != 1 || found[0].Offset != int64(at) {
			t.Errorf("put at %d, found %v (%v)", at, found, err)
		}
	}
}

func TestScanFileSkipsHoles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk")
	const size, at = 64 << 30, 40 << 30
	if err := NewDisk(path, size); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// The last character's zero byte lies in the hole behind the block. The byte in front
	// keeps it from being read in the other order as well.
	text := "-s\x00e\x00s\x00a\x00m\x00e\x00!\x00!"
	for _, offset := range []int64{0, at, at + 4096 - int64(len(text))} {
		if _, err := f.WriteAt([]byte(text), offset); err != nil {
			t.Fatal(err)
		}
	}
	found, err := ScanFile(t.Context(), path, Canary{"word", []byte("sesame!!")})
	if err != nil || len(found) != 3 || found[1].Offset != at+1 || found[2].Form != "utf-16le" {
		t.Errorf("found %v (%v)", found, err)
	}
}

func TestScanRefusals(t *testing.T) {
	if _, err := Scan(t.Context(), strings.NewReader("x"), Canary{"short", []byte("1234567")}); err == nil || strings.Contains(err.Error(), "1234567") {
		t.Errorf("a short canary: %v, want an error without its value", err)
	}
	if _, err := Scan(t.Context(), strings.NewReader("x"), Canary{"zeros", make([]byte, 32)}); err == nil {
		t.Error("a canary of zeros was taken")
	}
	if _, err := Scan(t.Context(), strings.NewReader("x")); err == nil {
		t.Error("no canary at all was taken")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Scan(ctx, strings.NewReader("x"), Canary{"key", secret}); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of the context: %v", err)
	}
	broken := iotest.ErrReader(errors.New("bad sector"))
	if _, err := Scan(t.Context(), broken, Canary{"key", secret}); err == nil {
		t.Error("a disk that cannot be read was reported clean")
	}
}

func BenchmarkScan(b *testing.B) {
	var canaries []Canary
	for i := range 20 {
		value := make([]byte, 32)
		rand.Read(value)
		canaries = append(canaries, Canary{Name: string(rune('a' + i)), Value: value})
	}
	noise := make([]byte, 64<<20)
	rand.Read(noise)
	b.SetBytes(int64(len(noise)))
	for b.Loop() {
		if found, err := Scan(b.Context(), bytes.NewReader(noise), canaries...); err != nil || len(found) != 0 {
			b.Fatal(found, err)
		}
	}
}
