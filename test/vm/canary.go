package vm

import (
	"context"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// Canary is a value that must not stand in plain sight: a secret, a token, a text that
// a test wrote into a volume.
type Canary struct {
	Name  string // what findings and errors call it; they never hold the value
	Value []byte // at least 8 bytes, or chance would find it
}

// Finding is one place where a canary stands.
type Finding struct {
	Canary string
	Form   string // "raw", "hex", "HEX", "base64", "base64url", "base32", "utf-16le" or "utf-16be"
	Offset int64  // of its first byte
}

// String names the canary, the form and the place.
func (f Finding) String() string {
	return fmt.Sprintf("%s (%s) at offset %d", f.Canary, f.Form, f.Offset)
}

// findingsAtMost bounds a report: a leaked value may stand in a log a million times.
const findingsAtMost = 1000

// ScanFile looks for canaries in every form in a file, such as a raw disk image. It
// skips holes, which read as zeros. It stops after 1000 findings.
func ScanFile(ctx context.Context, path string, canaries ...Canary) ([]Finding, error) {
	p, err := newPatterns(canaries)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("looking for canaries: %w", err)
	}
	defer f.Close()
	var findings []Finding
	for offset := int64(0); ; {
		start, end, err := nextData(f, offset)
		if errors.Is(err, io.EOF) {
			return findings, nil
		}
		if err != nil {
			return nil, fmt.Errorf("looking for canaries in %s: %w", path, err)
		}
		// A little of the holes around belongs to it: the zero byte of a UTF-16
		// character at the edge may lie there.
		from := max(offset, start-int64(p.longest))
		more, err := p.scan(ctx, io.NewSectionReader(f, from, end-from+int64(p.longest)), from, findingsAtMost-len(findings))
		if err != nil {
			return nil, fmt.Errorf("looking for canaries in %s: %w", path, err)
		}
		findings = append(findings, more...)
		if len(findings) >= findingsAtMost {
			return findings, nil
		}
		offset = end
	}
}

// nextData gives the next stretch that is not a hole; io.EOF after the last. A file
// system that knows no holes reports one stretch to the end (lseek(2)).
func nextData(f *os.File, from int64) (start, end int64, err error) {
	start, err = f.Seek(from, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) {
		return 0, 0, io.EOF
	}
	if err != nil {
		return 0, 0, err
	}
	end, err = f.Seek(start, unix.SEEK_HOLE)
	return start, end, err
}

// Scan looks for canaries in a stream, such as an opened mapping.
func Scan(ctx context.Context, r io.Reader, canaries ...Canary) ([]Finding, error) {
	p, err := newPatterns(canaries)
	if err != nil {
		return nil, err
	}
	findings, err := p.scan(ctx, r, 0, findingsAtMost)
	if err != nil {
		return nil, fmt.Errorf("looking for canaries: %w", err)
	}
	return findings, nil
}

// pattern is one form of one canary.
type pattern struct {
	canary, form string
	bytes        string
}

// patterns is all of them, found by their first four bytes. The table of the first two
// rejects nearly every position at the price of one look.
type patterns struct {
	first   [1 << 16]bool
	byStart map[[4]byte][]pattern
	longest int
}

func newPatterns(canaries []Canary) (*patterns, error) {
	p := &patterns{byStart: map[[4]byte][]pattern{}}
	for _, c := range canaries {
		if len(c.Value) < 8 {
			return nil, fmt.Errorf("looking for canaries: %s has only %d bytes, want 8 or more", c.Name, len(c.Value))
		}
		if strings.Trim(string(c.Value), "\x00") == "" {
			return nil, fmt.Errorf("looking for canaries: %s is all zeros", c.Name)
		}
		seen := map[string]bool{}
		for _, f := range forms(c) {
			if seen[f.bytes] {
				continue
			}
			seen[f.bytes] = true
			p.first[uint16(f.bytes[0])|uint16(f.bytes[1])<<8] = true
			key := [4]byte([]byte(f.bytes[:4]))
			p.byStart[key] = append(p.byStart[key], f)
			p.longest = max(p.longest, len(f.bytes))
		}
	}
	return p, nil
}

// forms gives everything a value may be written as. A text of base64 or base32 depends
// on where in the encoded stream the value begins, so each phase is a pattern, cut to
// the characters that the neighbours do not change.
func forms(c Canary) []pattern {
	list := []pattern{{c.Name, "raw", string(c.Value)}}
	add := func(form, text string) { list = append(list, pattern{c.Name, form, text}) }
	add("hex", hex.EncodeToString(c.Value))
	add("HEX", strings.ToUpper(hex.EncodeToString(c.Value)))
	for phase := range 3 {
		padded := append(make([]byte, phase), c.Value...)
		cut := (phase*8 + 5) / 6   // characters that hold bits of what stands before
		end := len(padded) * 8 / 6 // characters without bits of what stands behind
		add("base64", base64.RawStdEncoding.EncodeToString(padded)[cut:end])
		add("base64url", base64.RawURLEncoding.EncodeToString(padded)[cut:end])
	}
	for phase := range 5 {
		padded := append(make([]byte, phase), c.Value...)
		cut, end := (phase*8+4)/5, len(padded)*8/5
		add("base32", base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(padded)[cut:end])
	}
	var little, big []byte
	for _, unit := range utf16.Encode(characters(c.Value)) {
		little = append(little, byte(unit), byte(unit>>8))
		big = append(big, byte(unit>>8), byte(unit))
	}
	add("utf-16le", string(little))
	add("utf-16be", string(big))
	return list
}

// characters takes a value as UTF-8 text, or as Latin-1 where it is none.
func characters(value []byte) []rune {
	if utf8.Valid(value) {
		return []rune(string(value))
	}
	var runes []rune
	for _, b := range value {
		runes = append(runes, rune(b))
	}
	return runes
}

// scan reads in pieces that overlap by the longest pattern, so that none is cut in two.
func (p *patterns) scan(ctx context.Context, r io.Reader, base int64, atMost int) ([]Finding, error) {
	if p.longest == 0 {
		return nil, errors.New("no canary was given")
	}
	var findings []Finding
	buffer := make([]byte, 4<<20+p.longest)
	kept := 0 // bytes at the start of the buffer that were not yet searched as starts
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n, err := io.ReadFull(r, buffer[kept:])
		last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !last {
			return nil, err
		}
		window := buffer[:kept+n]
		starts := len(window)
		if !last {
			starts -= p.longest - 1
		}
		for i := 0; i < starts && i+4 <= len(window); i++ {
			if !p.first[uint16(window[i])|uint16(window[i+1])<<8] {
				continue
			}
			for _, pat := range p.byStart[[4]byte(window[i:i+4])] {
				if len(pat.bytes) <= len(window)-i && string(window[i:i+len(pat.bytes)]) == pat.bytes {
					findings = append(findings, Finding{pat.canary, pat.form, base + int64(i)})
					if len(findings) >= atMost {
						return findings, nil
					}
				}
			}
		}
		if last {
			return findings, nil
		}
		kept = copy(buffer, window[starts:])
		base += int64(starts)
	}
}
