// Command rescue runs in a virtual box in place of a person with a live system. Its
// arguments are commands as README.md gives them; "prepare" and "wreck" are what happened
// to the disk before. The recovery key is on standard input, for whoever asks for it.
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/stek-edge/stek/test/guest/inside"
)

func main() {
	if err := work(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Text in the volume.
const text = "the tomatoes ripen in July"

func work(commands []string) error {
	key, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	disk, err := inside.DiskBySerial("box", 20*time.Second)
	if err != nil {
		return err
	}
	for _, command := range commands {
		fmt.Println("#", command)
		switch command {
		case "prepare":
			command = "cryptsetup open /dev/sdX4 state && mkfs.ext4 -q /dev/mapper/state && mount /dev/mapper/state /mnt && " +
				"echo '" + text + "' > /mnt/note && umount /mnt && cryptsetup close state"
		case "wreck":
			command = "dd if=/dev/zero of=/dev/sdX4 bs=65536 count=1 conv=fsync status=none && ! cryptsetup isLuks --type luks2 /dev/sdX4"
		case "look":
			command = "cryptsetup open /dev/sdX4 rescue && mount -o ro /dev/mapper/rescue /mnt && cat /mnt/note && umount /mnt && cryptsetup close rescue"
		}
		cmd := exec.Command("sh", "-c", strings.ReplaceAll(command, "/dev/sdX", disk))
		cmd.Stdin = bytes.NewReader(key)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %w", command, err)
		}
	}
	return nil
}
