package hardware

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

// blockUser is one way a block device is in use.
type blockUser struct {
	device string // "8:1" or a path such as /dev/sda1
	what   string // "is mounted on /srv"
}

// blockUsers lists what is mounted and what is swapped to.
func (r Roots) blockUsers() []blockUser {
	var out []blockUser
	for line := range strings.Lines(string(read(filepath.Join(r.Proc, "self/mountinfo")))) {
		m, ok := parseMount(line)
		if !ok {
			continue
		}
		what := "is mounted on " + clean(m.point)
		out = append(out, blockUser{m.device, what})
		// btrfs shows a device number of its own; the source names the disk.
		if strings.HasPrefix(m.source, "/") {
			out = append(out, blockUser{m.source, what})
		}
	}
	for line := range strings.Lines(string(read(filepath.Join(r.Proc, "swaps")))) {
		if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(f[0], "/") {
			out = append(out, blockUser{unescape(f[0]), "is swap space in use"})
		}
	}
	return out
}

type mount struct {
	device, root, point, kind, source string
}

// parseMount reads one line of mountinfo (proc_pid_mountinfo(5)):
// 36 35 98:0 /root /mnt rw shared:1 - ext4 /dev/root rw
func parseMount(line string) (mount, bool) {
	before, after, ok := strings.Cut(line, " - ")
	f, g := strings.Fields(before), strings.Fields(after)
	if !ok || len(f) < 6 || len(g) < 2 {
		return mount{}, false
	}
	return mount{device: f[2], root: unescape(f[3]), point: unescape(f[4]), kind: g[0], source: unescape(g[1])}, true
}

var octal = regexp.MustCompile(`\\[0-7]{3}`)

// unescape undoes the octal escapes of procfs: a space is \040.
func unescape(s string) string {
	return octal.ReplaceAllStringFunc(s, func(e string) string {
		return string([]byte{(e[1]-'0')<<6 | (e[2]-'0')<<3 | (e[3] - '0')})
	})
}

// inUse says why a disk is busy: by itself, by a partition, by what is built on
// either.
func (r Roots) inUse(disk string, users []blockUser) []string {
	var out []string
	add := func(s string) {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	dir := filepath.Join(r.Sys, sysBlock, disk)
	devices := []string{disk}
	for _, n := range names(dir) {
		if exists(dir, n, "partition") {
			devices = append(devices, n)
		}
	}
	for i, name := range devices {
		node, d := r.node(name), dir
		if i > 0 {
			d = filepath.Join(dir, name)
		}
		number := word(d, "dev")
		for _, u := range users {
			if u.device == node || (number != "" && u.device == number) {
				add(node + " " + u.what)
			}
		}
		for _, h := range names(d, "holders") {
			add(node + " " + r.heldBy(h))
		}
	}
	return out
}

func (r Roots) heldBy(holder string) string {
	if dm := word(r.Sys, sysBlock, holder, "dm/name"); dm != "" {
		return fmt.Sprintf("is used by %s (%s)", holder, dm)
	}
	if strings.HasPrefix(holder, "md") {
		return "is part of " + holder
	}
	return "is used by " + holder
}

// claimed asks the kernel whether somebody holds a disk for himself: opening a
// block device with O_EXCL fails while a file system, a RAID, a ZFS pool or a
// mount in another container has it or one of its partitions (open(2)).
func claimed(node string) bool {
	info, err := os.Stat(node)
	if err != nil || info.Mode()&os.ModeDevice == 0 {
		return false
	}
	f, err := os.OpenFile(node, os.O_RDONLY|syscall.O_EXCL|syscall.O_NONBLOCK, 0)
	if err == nil {
		f.Close()
	}
	return errors.Is(err, syscall.EBUSY)
}
