// Command copy runs in a virtual box. It copies as many megabytes as its second argument says
// to the disk "target", by turns with dd and as the installer does, as often as the first
// says. For every copy it prints who copied and the nanoseconds.
package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/test/guest/inside"
)

func main() {
	if err := measure(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("say how many rounds and megabytes, not %q", args)
	}
	rounds, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	megabytes, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	target, err := inside.DiskBySerial("target", 30*time.Second)
	if err != nil {
		return err
	}
	noise := make([]byte, megabytes*1000*1000/4096*4096)
	if _, err := rand.NewChaCha8([32]byte{1}).Read(noise); err != nil {
		return err
	}
	const source = "/source"
	if err := os.WriteFile(source, noise, 0o600); err != nil {
		return err
	}
	from, err := os.Open(source)
	if err != nil {
		return err
	}
	defer from.Close()
	want := sha256.Sum256(noise)
	for range rounds {
		for _, side := range []struct {
			name string
			run  func() error
		}{
			{"dd", func() error {
				out, err := exec.CommandContext(ctx, "dd", "if="+source, "of="+target, "bs=4M", "oflag=direct", "conv=fsync").CombinedOutput()
				if err != nil {
					return fmt.Errorf("%w: %s", err, out)
				}
				return nil
			}},
			{"stek", func() error {
				d, err := disk.OpenBlock(hardware.Host(), target)
				if err != nil {
					return err
				}
				defer d.Close()
				_, err = disk.Copy(ctx, d, from, uint64(len(noise)), disk.CopyOptions{Want: want[:]})
				return err
			}},
		} {
			started := time.Now()
			if err := side.run(); err != nil {
				return fmt.Errorf("copying by %s: %w", side.name, err)
			}
			fmt.Println(side.name, time.Since(started).Nanoseconds())
		}
	}
	return nil
}
