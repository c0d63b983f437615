package stage1

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Mark is one moment of a start. Since counts from the start of the kernel, whose
// clock needs no battery.
type Mark struct {
	Name  string        `json:"name"`
	Since time.Duration `json:"since"` // since the kernel started, nanoseconds in JSON
}

// TimelineFile is where stage1 leaves the marks of this start, for `stek node status`.
const TimelineFile = "/run/stek/timeline.json"

// The one of these files that is there tells the started system what it is; the
// units have conditions on them.
const (
	InstallerFile = "/run/stek/installer"
	NodeFile      = "/run/stek/node"
)

type timeline struct{ marks []Mark }

func (t *timeline) mark(name string) time.Duration {
	since := sinceKernel()
	t.marks = append(t.marks, Mark{name, since})
	return since
}

func (t *timeline) save(path string) error {
	b, err := json.Marshal(t.marks)
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

// ReadTimeline reads the marks that stage1 left.
func ReadTimeline(path string) ([]Mark, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the timeline of this start: %w", err)
	}
	var marks []Mark
	if err := json.Unmarshal(b, &marks); err != nil {
		return nil, fmt.Errorf("reading the timeline of this start: %w", err)
	}
	return marks, nil
}

func sinceKernel() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
