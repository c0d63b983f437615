package preseed

import (
	"bytes"
	"errors"
	"fmt"
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
		if took := time.Since(start); took > time.Minute {
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
			if composed, err := Compose(Flatten(answers)); err != nil || !sameAnswers(*composed, *answers) {
				t.Errorf("taken apart and put together again: %v\n%s", err, Redacted(answers))
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

// siteFile writes an answer file of many boxes.
func siteFile(boxes int) []byte {
	var text strings.Builder
	text.WriteString(`stek: 1
node: {name: "kas-{n}", site: westland-3}
disk: {erase: true}
encryption: {recovery: {recipient: "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"}}
network:
  vpn: {wireguard: {peers: [{public-key: "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=", endpoint: "vpn.example.org:51820", allowed-ips: [10.77.0.0/16]}]}}
boxes:
`)
	for i := range boxes {
		fmt.Fprintf(&text, `  - serial: PF%06d
    disk:
      match: {serial: "S4EV%06d", min-size: 32GB}
    network:
      links:
        - {name: uplink, addresses: [10.1.%d.%d/16], gateway: 10.1.255.254}
      vpn: {wireguard: {address: 10.77.%d.%d/32}}
    k3s:
      labels: {hall: "%d"}
`, i, i, i/250, i%250+1, i/250, i%250+1, i%9)
	}
	return []byte(text.String())
}

// BenchmarkReadSite checks a file of 500 boxes: each with its disk, address, tunnel
// and labels.
func BenchmarkReadSite(b *testing.B) {
	data := siteFile(500)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		file, err := Read("site.yaml", data)
		if err != nil || len(file.Boxes()) != 500 {
			b.Fatal(err)
		}
	}
}
