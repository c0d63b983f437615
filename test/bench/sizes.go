package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/stek-edge/stek/images/builder"
	"github.com/stek-edge/stek/installer/hardware"
)

// aimBytes is what an image should have at most when it travels, bytes.
const aimBytes = 350e6

// benchSizes prints what an image is made of, and what it takes compressed as people
// download it. What the root holds, part by part and before it is packed, the builder
// prints.
func benchSizes(image string) error {
	found, err := builder.Inspect(image)
	if err != nil {
		return err
	}
	fmt.Printf("image %s\n", image)
	for _, p := range found.Partitions {
		if p.Name == "root-a" {
			fmt.Printf("  %-42s %10s\n", "root file system, packed, with its hash tree", hardware.Size(uint64(p.Size)))
		}
	}
	for _, f := range found.Files {
		if strings.HasSuffix(strings.ToLower(f.Name), ".efi") {
			fmt.Printf("  %-42s %10s\n", f.Name, hardware.Size(uint64(f.Size)))
		}
	}
	size, err := compressed(image)
	if err != nil {
		return err
	}
	fmt.Printf("  %-42s %10s; the aim is %s\n", "the whole image, zstd", hardware.Size(uint64(size)), hardware.Size(aimBytes))
	return nil
}

// compressed is the size of a file after zstd at its own default level.
func compressed(name string) (int64, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var n counter
	z, err := zstd.NewWriter(&n)
	if err != nil {
		return 0, err
	}
	if _, err := io.Copy(z, f); err != nil {
		return 0, fmt.Errorf("compressing %s: %w", name, err)
	}
	if err := z.Close(); err != nil {
		return 0, err
	}
	return int64(n), nil
}

// counter counts what is written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
