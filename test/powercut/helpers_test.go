package powercut_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/test/loopbox"
	"github.com/stek-edge/stek/test/powercut"
)

// unfinishedLabel is that of a volume until its installation has ended.
const unfinishedLabel = "stek-unfinished"

// everything has each state checked; without it a drawn part is.
var everything = os.Getenv("STEK_POWERCUT") == "all"

// options say how thorough a replay is: share is the part that is checked by itself.
func options(t *testing.T, share float64) powercut.Options {
	t.Helper()
	o := powercut.Options{Dir: t.TempDir(), Seed: 4, Draws: 3, Share: share}
	if everything {
		o.Draws, o.Share = 6, 1
	}
	return o
}

// enough fails when a replay saw less than a recording of that kind has, or checked less
// of it than its share.
func enough(t *testing.T, stats powercut.Stats, o powercut.Options, states int) {
	t.Helper()
	if stats.States < states {
		t.Errorf("the recording has %d states, and one of this kind has at least %d", stats.States, states)
	}
	if least := int(o.Share * float64(states) / 2); stats.Checked < least {
		t.Errorf("%d states were checked, and a share of %g is at least %d", stats.Checked, o.Share, least)
	}
}

// record mounts a recorder.
func record(t *testing.T, disks ...powercut.Disk) *powercut.Recorder {
	t.Helper()
	rec, err := powercut.NewRecorder(t.TempDir(), disks...)
	must(t, err)
	t.Cleanup(func() { must(t, rec.Close()) })
	return rec
}

// loop puts a loop device on a file. The function takes it off; so does the end of the
// test.
func loop(t *testing.T, file string) (node string, detach func()) {
	t.Helper()
	node = strings.TrimSpace(loopbox.Tool(t, "losetup", "--find", "--show", "--partscan", file))
	attached := true
	detach = func() {
		if attached {
			attached = false
			loopbox.Tool(t, "losetup", "--detach", node)
		}
	}
	t.Cleanup(detach)
	return node, detach
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// lookAgain reads what is on a disk of a state, as the installer does when it starts.
func lookAgain(s *powercut.State, name string, d hardware.Disk) (hardware.Disk, error) {
	f, err := os.Open(s.Path(name))
	if err != nil {
		return d, err
	}
	defer f.Close()
	d.Table, d.TableGUID, d.Content, d.Remains, d.Partitions = "", "", "", nil, nil
	err = hardware.ReadContent(f, &d)
	return d, err
}

// copyOf is a copy of a disk of a state, for a check that writes.
func copyOf(t testing.TB, s *powercut.State, disk string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), disk)
	must(t, s.CopyTo(disk, name))
	return name
}
