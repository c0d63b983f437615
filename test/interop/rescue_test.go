//go:build e2e

package interop

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stek-edge/stek/test/guest"
	"github.com/stek-edge/stek/test/vm"
)

// TestFullRescue does what README.md says under "Rescue", command by command, in a virtual
// box with a Debian kernel and this machine's cryptsetup.
func TestFullRescue(t *testing.T) {
	open, fetch, restore := rescueCommands(t)
	b := newBox(t)
	b.backUp()
	for _, words := range [][]string{
		{"age", "--decrypt", "-i", "office.key", "-o", "header", "header-backup.age"},
		{"truncate", "-s", "80M", "disk.img"},
		{"sgdisk", "-n", "1:2048:+32M", "-t", "1:ef00", "-n", "4:0:+40M", "-c", "4:state", "disk.img"},
		{"truncate", "-s", "32M", "esp.img"},
		{"mkfs.vfat", "esp.img"},
		{"mmd", "-i", "esp.img", "::stek"},
		{"mcopy", "-i", "esp.img", "header-backup.age", "::stek/header-backup.age"},
		{"dd", "if=esp.img", "of=disk.img", "bs=1M", "seek=1", "conv=notrunc", "status=none"},
		{"dd", "if=state.img", "of=disk.img", "bs=1M", "seek=33", "conv=notrunc,sparse", "status=none"},
	} {
		if _, err := host(t, b.dir, nil, nil, words...); err != nil {
			t.Fatal(err)
		}
	}
	commands := []string{"prepare"}
	commands = append(commands, open...)
	commands = append(commands, fetch...)
	commands = append(commands, "cmp /tmp/header-backup.age /job/header-backup.age", "wreck", "cp /job/header /tmp/header")
	commands = append(commands, restore...)
	commands = append(append(commands, open...), "look")
	result := guest.Check(t, guest.Spec{
		Main: "./testdata/rescue", Args: commands, Stdin: []byte(b.recovery.Reveal() + "\n"),
		Modules:  []string{"dm_crypt", "xts", "crc32c_generic", "ext4", "vfat", "nls_cp437", "nls_ascii"},
		Programs: []string{"sh", "cryptsetup", "mount", "umount", "mkfs.ext4", "dd", "cp", "ls", "cat", "cmp"},
		Files: map[string]string{
			"/job/header": filepath.Join(b.dir, "header"), "/job/header-backup.age": filepath.Join(b.dir, "header-backup.age"),
			"/etc/mke2fs.conf": "/etc/mke2fs.conf",
		},
		Machine: vm.Machine{Memory: 768, Disks: []vm.Disk{{Path: filepath.Join(b.dir, "disk.img"), Serial: "box"}}},
		Timeout: 15 * time.Minute,
	})
	if !bytes.Contains(result.Stdout, []byte("\nthe tomatoes ripen in July\n")) {
		t.Errorf("the guest printed %s", result.Stdout)
	}
}

// rescueCommands are the three lists of commands in the README's chapter.
func rescueCommands(t *testing.T) (open, fetch, restore []string) {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, chapter, ok := strings.Cut(string(text), "\n## Rescue")
	if !ok {
		t.Fatal("the README has no chapter Rescue")
	}
	chapter, _, _ = strings.Cut(chapter, "\n## ")
	var lists [][]string
	for _, block := range regexp.MustCompile("(?s)\n```\n(.*?)\n```\n").FindAllStringSubmatch(chapter, -1) {
		lists = append(lists, strings.Split(block[1], "\n"))
	}
	if len(lists) != 3 {
		t.Fatalf("the chapter has %d lists of commands, not 3", len(lists))
	}
	return lists[0], lists[1], lists[2]
}
