package media

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/test/loopbox"
)

// medium is a disk or a stick that can be told to fail: a device-mapper device on a
// loop device on a sparse file.
type medium struct {
	t                *testing.T
	name, file, loop string
	size             int64 // bytes
}

func newMedium(t *testing.T, name string, size int64) *medium {
	t.Helper()
	m := &medium{t: t, name: name, file: filepath.Join(t.TempDir(), name), size: size}
	must(t, os.WriteFile(m.file, nil, 0o600))
	must(t, os.Truncate(m.file, size))
	m.loop = strings.TrimSpace(loopbox.Tool(t, "losetup", "--find", "--show", m.file))
	t.Cleanup(func() { loopbox.Tool(t, "losetup", "--detach", m.loop) })
	loopbox.ToolIn(t, m.table(well, span{}), "dmsetup", "create", m.name)
	t.Cleanup(func() { loopbox.Tool(t, "dmsetup", "remove", "--retry", m.name) })
	return m
}

func (m *medium) node() string { return "/dev/mapper/" + m.name }

// way is how a medium behaves in a span.
type way string

// The ways.
const (
	well     way = "linear"
	dead     way = "error"        // reads and writes fail
	readonly way = "error_writes" // writes and flushes fail, as on worn flash
	lying    way = "drop_writes"  // writes vanish and are said to be done
)

// span is a range of bytes, in whole sectors.
type span struct{ from, to int64 }

// turns changes how the medium behaves in one span; everywhere else it is well.
func (m *medium) turns(how way, s span) {
	m.t.Helper()
	loopbox.ToolIn(m.t, m.table(how, s), "dmsetup", "reload", m.name)
	loopbox.Tool(m.t, "dmsetup", "resume", "--nolockfs", m.name)
}

func (m *medium) recovers() { m.turns(well, span{0, m.size}) }

// table is in the words of dmsetup(8) and the kernel's dm-flakey.rst, in sectors.
func (m *medium) table(how way, s span) string {
	var lines strings.Builder
	add := func(how way, from, to int64) {
		if from >= to {
			return
		}
		at := fmt.Sprintf("%d %d ", from/512, (to-from)/512)
		on := fmt.Sprintf("%s %d", m.loop, from/512)
		switch how {
		case well:
			lines.WriteString(at + "linear " + on + "\n")
		case dead:
			lines.WriteString(at + "error\n")
		default:
			lines.WriteString(at + "flakey " + on + " 0 1000000 1 " + string(how) + "\n")
		}
	}
	add(well, 0, s.from)
	add(how, s.from, s.to)
	add(well, s.to, m.size)
	return lines.String()
}

// forget has the kernel read from the media again what it reads next.
func forget(t *testing.T) {
	t.Helper()
	unix.Sync()
	must(t, os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0))
}

// mount mounts a device until the end of the test, or until the function that it returns
// is called.
func mount(t *testing.T, device, fstype string) (dir string, unmount func()) {
	t.Helper()
	dir = t.TempDir()
	must(t, unix.Mount(device, dir, fstype, 0, ""))
	mounted := true
	unmount = func() {
		if mounted {
			mounted = false
			must(t, unix.Unmount(dir, 0))
		}
	}
	t.Cleanup(unmount)
	return dir, unmount
}

// fill writes a file until there is no room left. A page that does not fit is not written in
// part, so the last of the room takes small pieces.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	must(t, err)
	defer f.Close()
	for _, size := range []int{64 << 10, 512} {
		var err error
		for piece := make([]byte, size); err == nil; {
			_, err = f.Write(piece)
		}
		if !errors.Is(err, unix.ENOSPC) {
			t.Fatal(err)
		}
	}
	must(t, f.Sync())
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
