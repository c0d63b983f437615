package site

import (
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/stek-edge/stek/images/layout"
)

// Partition is where a partition lies on a disk or a stick, by its name.
func Partition(image, name string) (layout.Partition, error) {
	f, err := os.Open(image)
	if err != nil {
		return layout.Partition{}, err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return layout.Partition{}, err
	}
	table, err := layout.ReadGPT(f, size)
	if err != nil {
		return layout.Partition{}, fmt.Errorf("%s: %w", image, err)
	}
	p, ok := table.Find(name)
	if !ok {
		return layout.Partition{}, fmt.Errorf("%s has no partition %q", image, name)
	}
	return p, nil
}

// Alone are flags of losetup(8) for a loop device over a partition of an image and nothing
// else. Not every kernel that a test runs on reads partition tables.
func Alone(p layout.Partition) []string {
	return []string{"--offset", strconv.FormatInt(p.Start, 10), "--sizelimit", strconv.FormatInt(p.Size, 10)}
}
