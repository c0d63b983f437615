// Command cryptvolume makes a LUKS2 volume on a disk, puts a FAT file system and a text
// into it and closes it. The passphrase comes on standard input, the text as an argument.
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/test/guest/inside"
)

func main() {
	if err := work(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func work(text string) error {
	passphrase, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	disk, err := inside.DiskBySerial("state", 20*time.Second)
	if err != nil {
		return err
	}
	steps := [][]string{
		{"cryptsetup", "luksFormat", "--batch-mode", "--type", "luks2", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--key-file", "-", disk},
		{"cryptsetup", "open", "--key-file", "-", disk, "state"},
		{"mkfs.vfat", "/dev/mapper/state"},
	}
	for _, step := range steps {
		cmd := exec.Command(step[0], step[1:]...)
		cmd.Stdin = bytes.NewReader(passphrase)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %w", step[0], err)
		}
	}
	if err := unix.Mount("/dev/mapper/state", "/mnt", "vfat", 0, ""); err != nil {
		return fmt.Errorf("mounting: %w", err)
	}
	if err := os.WriteFile("/mnt/note.txt", []byte(text), 0o644); err != nil {
		return err
	}
	if err := unix.Unmount("/mnt", 0); err != nil {
		return fmt.Errorf("unmounting: %w", err)
	}
	// The text is found where it must be, or its absence elsewhere would prove nothing.
	opened, err := os.ReadFile("/dev/mapper/state")
	if err != nil {
		return err
	}
	fmt.Printf("in the opened volume: %d\n", bytes.Count(opened, []byte(text)))
	cmd := exec.Command("cryptsetup", "close", "state")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}
