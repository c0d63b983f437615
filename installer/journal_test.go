package installer

import (
	"bytes"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/test/machines"
)

func TestJournal(t *testing.T) {
	ids := `{"ids":{"disk":"11111111-1111-4111-8111-111111111111","esp":"22222222-2222-4222-8222-222222222222","root-b":"33333333-3333-4333-8333-333333333333","state":"44444444-4444-4444-8444-444444444444"}}`
	tests := []struct {
		name, content string
		done          string
		ids           bool
	}{
		{name: "no lines"},
		{name: "a step of this plan", content: `{"plan":"p","step":"root"}` + "\n", done: "root"},
		{name: "half-written line at the end", content: `{"plan":"p","step":"partition"}` + "\n" + `{"plan":"p","st`, done: "partition"},
		{name: "half-written line in between", content: `{"plan":"p","st` + "\n" + `{"plan":"p","step":"root"}` + "\n", done: "root"},
		{name: "lines of another plan", content: `{"plan":"q","step":"root"}` + "\n"},
		{name: "old cluster of any length", content: strings.Repeat("\x00", 200<<10) + "\n" + ids + "\n" + `{"plan":"p","step":"root"}`, done: "root", ids: true},
		{name: "identities without a disk", content: `{"ids":{}}` + "\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "j.jsonl")
			if err := os.WriteFile(path, []byte(tt.content), 0o644); err != nil {
				t.Fatal(err)
			}
			j, err := openJournal(path, "p")
			if err != nil {
				t.Fatal(err)
			}
			if len(j.done) > 1 || (tt.done != "" && !j.done[tt.done]) || (tt.done == "" && len(j.done) != 0) {
				t.Errorf("done %v, want %q", j.done, tt.done)
			}
			if (j.ids != nil) != tt.ids {
				t.Errorf("identities %v", j.ids)
			}
			// A mark after any content is found again.
			if err := j.mark("esp"); err != nil {
				t.Fatal(err)
			}
			if j, err = openJournal(path, "p"); err != nil || !j.done["esp"] {
				t.Errorf("after a mark: %v, %v", j.done, err)
			}
		})
	}
}

func TestIdentitiesOfTries(t *testing.T) {
	path := JournalPath(t.TempDir(), "AB/12")
	if filepath.Base(path) != "AB-12.jsonl" {
		t.Errorf("journal at %s", path)
	}
	first, err := LoadIDs(path, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadIDs(path, rand.Reader)
	if err != nil || again != first {
		t.Errorf("%v, then %v (%v)", first, again, err)
	}
	for range 2 { // closing twice is as good as once
		if err := CloseJournal(path); err != nil {
			t.Fatal(err)
		}
	}
	if next, err := LoadIDs(path, rand.Reader); err != nil || next == first {
		t.Errorf("after the end: %v, %v", next, err)
	}
}

func TestDigest(t *testing.T) {
	digest := func(more string, change func(inv *hardware.Inventory)) string {
		inv := machines.Load(t, "vm")
		change(inv)
		plan, err := Make(answers(t, "stek: 1\ndisk: {erase: true}\nencryption: {unlock: [passphrase], recovery: {show: true}}\n"+more), inv, image(), testIDs())
		if err != nil {
			t.Fatal(err)
		}
		return plan.digest()
	}
	base := digest("node: {name: box}\n", func(*hardware.Inventory) {})
	for _, tt := range []struct {
		name, more string
		change     func(inv *hardware.Inventory)
		same       bool
	}{
		{"another path", "", func(inv *hardware.Inventory) { inv.Disks[0].Path = "/dev/vdb" }, true},
		{"other content", "", func(inv *hardware.Inventory) {
			inv.Disks[0].TableGUID = testIDs().Disk
			inv.Disks[0].Partitions = []hardware.Partition{{Number: 1, Size: 1 << 30}}
		}, true},
		{"another disk", "", func(inv *hardware.Inventory) { inv.Disks[0].Serial = "X" }, false},
		{"other answers", "node: {name: other}\n", func(*hardware.Inventory) {}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.more == "" {
				tt.more = "node: {name: box}\n"
			}
			if same := digest(tt.more, tt.change) == base; same != tt.same {
				t.Errorf("same: %t, want %t", same, tt.same)
			}
		})
	}
}

// FuzzJournal reads journals that are anything, as FAT leaves them after a power cut:
// the identities that come out of one can always be planned with, and what is written
// to it after that is read again.
func FuzzJournal(f *testing.F) {
	f.Add([]byte(`{"ids":{"disk":"11111111-1111-4111-8111-111111111111","esp":"22222222-2222-4222-8222-222222222222","root-b":"33333333-3333-4333-8333-333333333333","state":"44444444-4444-4444-8444-444444444444"}}` + "\n"))
	f.Add([]byte(`{"ids":{"disk":"x","esp":"x","root-b":"x","state":"x"}}` + "\n" + `{"plan":"p","step":"root"}`))
	f.Add([]byte("{\"plan\":\"p\",\"st\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(t.TempDir(), "journal")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		ids, err := LoadIDs(path, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := disk.Plan(disk.MinDiskSize, 512, "amd64", bytes.Repeat([]byte{7}, 32), ids); err != nil {
			t.Errorf("%+v: %v", ids, err)
		}
		j, err := openJournal(path, "p")
		if err != nil {
			t.Fatal(err)
		}
		if err := j.mark(StepPartition); err != nil {
			t.Fatal(err)
		}
		again, err := openJournal(path, "p")
		if err != nil || !again.done[StepPartition] || again.ids == nil || *again.ids != ids {
			t.Errorf("read again: %+v, %v", again, err)
		}
	})
}
