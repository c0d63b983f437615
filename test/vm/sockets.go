package vm

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// socketPrefix starts the name of each directory of sockets; the program's process id
// follows, so that a later program can tell which ones nobody uses any more.
const socketPrefix = "stek-vm-"

// keepMark is a file in a directory of sockets whose box may outlive the program.
const keepMark = "outlive"

var sweep sync.Once

// socketDir makes a private directory with a short name: a UNIX socket's path has at
// most 107 bytes (unix(7)), and a test's temporary directory is often longer.
func socketDir(outlive bool) (string, error) {
	base := os.TempDir()
	if len(base) > 60 {
		base = "/tmp"
	}
	sweep.Do(func() { sweepSockets(base) })
	dir, err := os.MkdirTemp(base, socketPrefix+strconv.Itoa(os.Getpid())+"-")
	if err == nil && outlive {
		err = os.WriteFile(filepath.Join(dir, keepMark), nil, 0o600)
	}
	if err != nil {
		return "", fmt.Errorf("making a place for the sockets: %w", err)
	}
	return dir, nil
}

// sweepSockets removes what killed programs left: their boxes died with them, but nobody
// removed the sockets. What it cannot remove does no harm.
func sweepSockets(base string) {
	dirs, err := filepath.Glob(filepath.Join(base, socketPrefix+"*-*"))
	if err != nil {
		return
	}
	for _, dir := range dirs {
		number, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), socketPrefix), "-")
		pid, err := strconv.Atoi(number)
		if err != nil || !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, keepMark)); errors.Is(err, os.ErrNotExist) {
			os.RemoveAll(dir)
		}
	}
}
