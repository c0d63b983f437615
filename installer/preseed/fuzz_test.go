package preseed

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
)

// FuzzParse looks for panics, slowness, places outside the file, and good files
// that do not survive being written and read again.
func FuzzParse(f *testing.F) {
	for _, file := range goodFiles(f).Files {
		f.Add(file.Data)
	}
	broken, err := txtar.ParseFile(brokenFile)
	if err != nil {
		f.Fatal(err)
	}
	for i := 0; i < len(broken.Files); i += 2 {
		f.Add(broken.Files[i].Data)
	}
	for _, text := range []string{"\ufeffstek: 1\r\n", "a: \"\\u12\"", "? [a]\n: b", "- - -\n", "a: |2-\n  x", "a: &b *b", "<<: *a", "!!map {}", "{", "\t", "a:\n\t- b", "a: 'x", "%TAG ! x\n---\na", "[a, [b, {c: d}]]: e"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		start := time.Now()
		answers, err := Parse("f", data)
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("took %v", took)
		}
		if (answers == nil) == (err == nil) {
			t.Fatalf("Parse returned %v, %v", answers, err)
		}
		if err == nil {
			if faults := Validate(answers); len(faults) > 0 {
				t.Errorf("Parse accepts what Validate refuses: %v", faults)
			}
			again, err := Parse("replay", Redacted(answers))
			if err != nil {
				t.Fatalf("the replay file is refused: %v\n%s", err, Redacted(answers))
			}
			if !sameAnswers(*again, *answers) {
				t.Errorf("the replay file reads as\n%s\nwant\n%s", Redacted(again), Redacted(answers))
			}
			return
		}
		var faults Faults
		if !errors.As(err, &faults) || len(faults) == 0 {
			t.Fatalf("Parse returned the error %v", err)
		}
		lines := strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(data)), "\n")
		for _, fault := range faults {
			if fault.Line < 1 || fault.Line > len(lines) || fault.Column < 1 || fault.Column > len([]rune(lines[fault.Line-1]))+1 {
				t.Errorf("fault outside the file: %v", fault)
			}
			if strings.ContainsAny(fault.Error(), "\n\x00") || fault.Message == "" || fault.Kind == "" {
				t.Errorf("unclear fault: %q", fault.Error())
			}
		}
	})
}

// sameAnswers compares answers but for their secrets; an empty list and none are
// the same, and so are an empty section and none.
func sameAnswers(a, b Answers) bool {
	return bytes.Equal(Redacted(&a), Redacted(&b))
}

// FuzzSizes checks that a size, printed and read again, is the same size.
func FuzzSizes(f *testing.F) {
	for _, text := range []string{"0", "1", "32GB", "32GiB", "1.92TB", "18446744073709551615", "18446744073709551616", "1.5", "1e3GB", ".5GB", "5.GB", "-1", "32G", "32gb", "９GB"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		size, err := ParseBytes(text)
		if err != nil {
			return
		}
		if again, err := ParseBytes(size.String()); err != nil || again != size {
			t.Errorf("%q is %d, prints %s, reads %d (%v)", text, size, size, again, err)
		}
	})
}

// BenchmarkParse checks the largest good file.
func BenchmarkParse(b *testing.B) {
	data := goodFiles(b).Files[2].Data
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := Parse("f", data); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkParseSite checks a file as large as 500 boxes: their part is not in
// this version, but it is read.
func BenchmarkParseSite(b *testing.B) {
	var text strings.Builder
	text.WriteString("stek: 1\nencryption: {recovery: {show: true}}\nboxes:\n")
	for i := range 500 {
		text.WriteString("  S4EV" + strings.Repeat("0", i%7) + string(rune('A'+i%26)) + strings.Repeat("1", i%11) + ":\n")
		text.WriteString("    node: {name: kas-7, site: westland-3}\n    disk:\n      match: {serial: \"S4EV*\", min-size: 32GB}\n      erase: true\n    k3s:\n      labels: {hall: \"7\"}\n")
	}
	data := []byte(text.String())
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := Parse("f", data); len(err.(Faults)) == 0 {
			b.Fatal("no faults")
		}
	}
}
