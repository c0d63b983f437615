package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/stek-edge/stek/test/debian"
	"github.com/stek-edge/stek/test/guest"
	"github.com/stek-edge/stek/test/vm"
)

// benchUnlock opens one volume, whose key the TPM holds under a signed policy, by turns
// with systemd-cryptsetup of Debian 13 and as stek's first process does, in one guest.
func benchUnlock(ctx context.Context, dir string, rounds int) error {
	dir, err := os.MkdirTemp(dir, "stek-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	system, state := filepath.Join(dir, "system.img"), filepath.Join(dir, "state.img")
	if err := debian.WriteDisk(ctx, system); err != nil {
		return err
	}
	if err := vm.NewDisk(state, 32<<20); err != nil {
		return err
	}
	result, err := guest.Run(ctx, guest.Spec{
		Main: "./test/bench/testdata/unlock", Args: []string{strconv.Itoa(rounds)},
		Machine: vm.Machine{Dir: dir, Memory: 1024, TPM: &vm.TPM{}, Disks: []vm.Disk{
			{Name: "system", Path: system, Serial: "system"}, {Name: "state", Path: state, Serial: "state"}}},
		Modules: []string{"dm_crypt", "xts", "crc32c_generic", "ext4"}, Timeout: 30 * time.Minute,
	})
	if err != nil {
		return err
	}
	sides, err := printed(result)
	if err != nil {
		return err
	}
	median, least, most := ratios(sides["stek"], sides["systemd"])
	fmt.Printf("token to mapped device, in a virtual box\n  systemd-cryptsetup   %s\n  stek                 %s\n  time against it      %.2f (%.2f to %.2f); the aim is 0.40, the limit 1.00\n",
		sides["systemd"], sides["stek"], median, least, most)
	return nil
}

// printed are the times that a program in a guest printed, by the side that took them.
func printed(result guest.Result) (map[string]figures, error) {
	if result.Exit != 0 {
		return nil, fmt.Errorf("in the guest: exit status %d\n%s%s", result.Exit, result.Stdout, result.Stderr)
	}
	sides := map[string]figures{}
	for line := range strings.Lines(string(result.Stdout)) {
		side, took, _ := strings.Cut(strings.TrimSpace(line), " ")
		ns, err := strconv.ParseInt(took, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("the guest printed %q", line)
		}
		sides[side] = append(sides[side], time.Duration(ns))
	}
	return sides, nil
}
