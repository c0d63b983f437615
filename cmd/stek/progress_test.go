package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stek-edge/stek/images/component"
)

func TestProgressText(t *testing.T) {
	for _, c := range []struct {
		name string
		in   component.Progress
		done int64
		took time.Duration
		want string
	}{
		{"just begun", component.Progress{Task: "packing"}, 0, 0, "packing"},
		{"nothing to count", component.Progress{Task: "packing"}, 0, 12 * time.Second, "packing, 12s"},
		{"bytes", component.Progress{Task: "packing", Unit: "bytes", Done: 20e6, Total: 60e6}, 20e6, 2 * time.Second, "packing: 20 MB of 60 MB, 10 MB/s, about 4s left"},
		{"a download that goes on", component.Progress{Task: "downloading", Unit: "bytes", Done: 50e6, Total: 60e6}, 5e6, 5 * time.Second, "downloading: 50 MB of 60 MB, 1 MB/s, about 10s left"},
		{"packages", component.Progress{Task: "building", Unit: "packages", Done: 50, Total: 200}, 50, time.Minute, "building: 50 of 200 packages, about 3m0s left"},
		{"nothing done yet", component.Progress{Task: "building", Unit: "packages", Total: 200}, 0, time.Minute, "building: 0 of 200 packages, 1m0s"},
		{"all done", component.Progress{Task: "packing", Unit: "bytes", Done: 60e6, Total: 60e6}, 60e6, 5 * time.Second, "packing: 60 MB of 60 MB, 5s"},
		{"length unknown", component.Progress{Task: "downloading", Unit: "bytes", Done: 5e6}, 5e6, 5 * time.Second, "downloading, 5s, 5 MB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := progressText(c.in, c.done, c.took); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestProgressInALog: a task is told when it begins, soon after, and then now and then.
func TestProgressInALog(t *testing.T) {
	var out strings.Builder
	clock := time.Unix(0, 0)
	p := &progressWriter{w: &out, now: func() time.Time { return clock }}
	for i := range 61 {
		p.report(component.Progress{Task: "packing", Unit: "bytes", Done: int64(i) * 1e6, Total: 60e6})
		clock = clock.Add(time.Second)
	}
	p.report(component.Progress{Task: "writing"})
	p.end()
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if lines[0] != "packing: 0 B of 60 MB" || lines[1] != "packing: 3 MB of 60 MB, 1 MB/s, about 57s left" || lines[len(lines)-1] != "writing" {
		t.Errorf("got:\n%s", out.String())
	}
	if len(lines) > 12 {
		t.Errorf("%d lines in a minute:\n%s", len(lines), out.String())
	}
	if !strings.Contains(out.String(), "packing: 60 MB of 60 MB") {
		t.Errorf("the end is not told:\n%s", out.String())
	}
}
