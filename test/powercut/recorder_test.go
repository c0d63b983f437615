package powercut_test

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/test/powercut"
)

// What is written to a loop device on a recorded disk is in the log, in its order and
// with its flushes, and the last state is what the disk holds.
func TestRecorder(t *testing.T) {
	rec := record(t, powercut.Disk{Name: "disk", Size: 4 << 20})
	node, detach := loop(t, rec.Path("disk"))
	f, err := os.OpenFile(node, os.O_RDWR, 0)
	must(t, err)
	write := func(off int64, c byte, n int) {
		t.Helper()
		_, err := f.WriteAt(bytes.Repeat([]byte{c}, n), off)
		must(t, err)
		must(t, f.Sync())
	}
	must(t, rec.Mark("first"))
	write(0, 'a', 4096)
	write(1<<20, 'b', 8192)
	must(t, rec.Mark("second"))
	write(0, 'c', 4096)
	write(0, 0, 4096)
	must(t, f.Close())
	detach()

	writes, _, flushes := rec.Log().Count()
	if writes < 4 || flushes < 4 {
		t.Fatalf("%d writes and %d flushes", writes, flushes)
	}
	var seen []string
	stats, err := rec.Log().Replay(powercut.Options{Dir: t.TempDir(), Share: 1}, func(s *powercut.State) error {
		b, err := os.ReadFile(s.Path("disk"))
		if err != nil {
			return err
		}
		seen = append(seen, fmt.Sprintf("%s %c%c", s.Phase, letter(b[0]), letter(b[1<<20])))
		return nil
	})
	must(t, err)
	if stats.Checked != stats.States || stats.States != len(seen) {
		t.Errorf("%+v, %d seen", stats, len(seen))
	}
	got := fmt.Sprint(unique(seen))
	if want := "[first a. first ab second cb second .b]"; got != want {
		t.Errorf("the states were %s, want %s", got, want)
	}
}

func letter(b byte) byte {
	if b == 0 {
		return '.'
	}
	return b
}

func unique(list []string) (out []string) {
	for i, s := range list {
		if i == 0 || s != list[i-1] {
			out = append(out, s)
		}
	}
	return out
}

// A write that was not flushed may be lost, and one of several sectors torn; one that
// was flushed is there.
func TestStates(t *testing.T) {
	rec := record(t, powercut.Disk{Name: "disk", Size: 1 << 20})
	f, err := os.OpenFile(rec.Path("disk"), os.O_RDWR, 0)
	must(t, err)
	put := func(off int64, c byte, n int) {
		t.Helper()
		_, err := f.WriteAt(bytes.Repeat([]byte{c}, n), off)
		must(t, err)
	}
	put(0, 'a', 512)
	must(t, f.Sync())
	put(4096, 'b', 2048)
	put(8192, 'c', 512)
	must(t, f.Close())
	found := map[string]bool{}
	_, err = rec.Log().Replay(powercut.Options{Dir: t.TempDir(), Share: 1, Draws: 50}, func(s *powercut.State) error {
		b, err := os.ReadFile(s.Path("disk"))
		if err != nil {
			return err
		}
		found[fmt.Sprintf("%c%c%c%c", letter(b[0]), letter(b[4096]), letter(b[4096+1536]), letter(b[8192]))] = true
		return nil
	})
	must(t, err)
	for state, want := range map[string]bool{
		"a...": true, "abb.": true, "ab..": true, "abbc": true, "a..c": true, "....": true, ".bb.": false, "..b.": false,
	} {
		if found[state] != want {
			t.Errorf("state %s: %t, want %t", state, found[state], want)
		}
	}
}

// A discard may be ignored: then what was there is there still, also after a flush, but
// for what was written over it.
func TestDiscards(t *testing.T) {
	rec := record(t, powercut.Disk{Name: "disk", Size: 1 << 16})
	f, err := os.OpenFile(rec.Path("disk"), os.O_RDWR, 0)
	must(t, err)
	put := func(off int64, c byte) {
		t.Helper()
		_, err := f.WriteAt(bytes.Repeat([]byte{c}, 512), off)
		must(t, err)
	}
	put(0, 'a')
	put(512, 'a')
	must(t, f.Sync())
	must(t, rec.Mark("discarded"))
	must(t, unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 4096))
	put(512, 'b')
	must(t, rec.Mark("flushed"))
	must(t, f.Sync())
	put(1024, 'c')
	must(t, f.Close())
	found := map[string]bool{}
	_, err = rec.Log().Replay(powercut.Options{Dir: t.TempDir(), Share: 1, Draws: 30}, func(s *powercut.State) error {
		name := copyOf(t, s, "disk")
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if same, err := os.ReadFile(s.Path("disk")); err != nil || !bytes.Equal(same, b) {
			t.Errorf("%s: a copy is not the same (%v)", s, err)
		}
		found[fmt.Sprintf("%s %c%c%c", s.Phase, letter(b[0]), letter(b[512]), letter(b[1024]))] = true
		return nil
	})
	must(t, err)
	for state, want := range map[string]bool{
		"discarded ...": true, "discarded aa.": true, "discarded .b.": true, "discarded ab.": true, "discarded a..": false, "discarded .a.": false,
		"flushed .b.": true, "flushed .bc": true, "flushed ab.": true, "flushed abc": true, "flushed ..c": false, "flushed aac": false,
	} {
		if found[state] != want {
			t.Errorf("state %s: %t, want %t", state, found[state], want)
		}
	}
}
