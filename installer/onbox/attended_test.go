package onbox

import (
	"strings"
	"testing"

	"github.com/stek-edge/stek/installer/hardware"
)

// A stick without answers asks nobody at a machine that it has installed, as long as the
// disk is the one it was.
func TestStill(t *testing.T) {
	inv := &hardware.Inventory{Disks: []hardware.Disk{{Path: "/dev/sda"}, {Path: "/dev/nvme0n1", TableGUID: "g-1"}}}
	for _, tt := range []struct {
		name string
		mark mark
		want bool
	}{
		{"never installed", mark{}, false},
		{"its disk is there", mark{Disk: "g-1"}, true},
		{"another disk, or divided anew", mark{Disk: "g-2"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.mark.still(inv); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

// A serial line gets no sign that only some terminals have; the console's screen does.
func TestTerminalEnv(t *testing.T) {
	for tty, want := range map[string]string{"/dev/ttyS0": "vt220", "/dev/ttyAMA0": "vt220", "/dev/hvc0": "vt220", "/dev/tty0": "linux", "/dev/tty1": "linux"} {
		if got := terminalEnv(tty); !strings.HasSuffix(got[0], want) {
			t.Errorf("%s: %v", tty, got)
		}
	}
}
