package hardware

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestLoadIsStrict(t *testing.T) {
	const disk = `{"arch":"amd64","disks":[{"path":"/dev/sda","bus":"sata","size":1024,"sector-size":512,`
	cases := []struct{ name, text, want string }{
		{"empty", "", "EOF"},
		{"unknown key", `{"arch":"amd64","disk":[]}`, `unknown field "disk"`},
		{"something behind", `{"arch":"amd64"} {}`, "something follows"},
		{"no arch", `{}`, "arch is missing"},
		{"sector size that a plan would divide by", `{"arch":"amd64","disks":[{"path":"/dev/sda","size":0,"sector-size":0}]}`, "sector size of 0"},
		{"half a sector", `{"arch":"amd64","disks":[{"path":"/dev/sda","size":700,"sector-size":512}]}`, "whole number"},
		{"path with an escape", `{"arch":"amd64","disks":[{"path":"/dev/\u001b","size":0,"sector-size":512}]}`, "not printable"},
		{"one path twice", `{"arch":"amd64","disks":[{"path":"a","sector-size":512},{"path":"a","sector-size":512}]}`, "a second disk"},
		{"partition without a number", disk + `"partitions":[{"start":0,"size":0}]}]}`, "number 0"},
		{"partition that overflows", disk + `"partitions":[{"number":1,"start":18446744073709551615,"size":2}]}]}`, "overflow"},
		{"too long", `{"arch":"` + strings.Repeat("a", maxInventory) + `"}`, "longer than"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := Load(strings.NewReader(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one about %q", err, c.want)
			}
		})
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0 B", 999: "999 B", 1000: "1 kB", 1 << 20: "1.05 MB", 512110190592: "512 GB", 1920383410176: "1.92 TB",
		15931539456: "15.9 GB", 999_999_999_999: "1 TB", 1_500_000: "1.5 MB", 20_000_000: "20 MB",
	} {
		if got := Size(n); got != want {
			t.Errorf("Size(%d) = %q, want %q", n, got, want)
		}
	}
}

func FuzzLoad(f *testing.F) {
	machines, err := filepath.Glob("../../test/machines/*.json")
	if err != nil || len(machines) == 0 {
		f.Fatalf("no captured machine: %v", err)
	}
	for _, name := range append(machines, "testdata/office-pc.json") {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		if _, err := Load(bytes.NewReader(data)); err != nil {
			f.Fatalf("%s: %v", name, err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"arch":"amd64","disks":[{"path":"x","sector-size":512,"partitions":[{"number":1}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		inv, err := Load(bytes.NewReader(data))
		if err != nil {
			return
		}
		var text, again bytes.Buffer
		if err := WriteText(&text, inv); err != nil {
			t.Fatal(err)
		}
		if bytes.ContainsRune(text.Bytes(), '\x1b') {
			t.Fatal("an escape reached the terminal")
		}
		if err := Save(&again, inv); err != nil {
			t.Fatal(err)
		}
		back, err := Load(&again)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(inv, back, cmpopts.EquateEmpty()); d != "" { // an empty list is left out
			t.Fatal(d)
		}
	})
}
