package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// figures are the times of one side, in the order in which they were taken.
type figures []time.Duration

func (f figures) median() time.Duration {
	s := slices.Sorted(slices.Values(f))
	return s[len(s)/2]
}

func (f figures) String() string {
	return fmt.Sprintf("%.3f s (%.3f to %.3f, %d runs)", f.median().Seconds(), slices.Min(f).Seconds(), slices.Max(f).Seconds(), len(f))
}

// ratios are of neighbouring runs: the first side by the second.
func ratios(a, b figures) (median, least, most float64) {
	var r []float64
	for i := range min(len(a), len(b)) {
		r = append(r, a[i].Seconds()/b[i].Seconds())
	}
	slices.Sort(r)
	return r[len(r)/2], r[0], r[len(r)-1]
}

// machine names what the figures were taken on.
func machine() string {
	model := "unknown processor"
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
			break
		}
	}
	load, _ := os.ReadFile("/proc/loadavg")
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return fmt.Sprintf("%s, %d processors, Linux %s, load %s", model, runtime.NumCPU(), strings.TrimSpace(string(kernel)), strings.Join(strings.Fields(string(load))[:1], ""))
}
