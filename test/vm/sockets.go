package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
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

// waitSocket waits until a child listens on its socket. Neither the socket's file tells
// that (it is there a moment earlier) nor may we connect to try: swtpm serves only the
// first who connects.
func waitSocket(ctx context.Context, socket string, p *process) error {
	deadline := time.After(20 * time.Second)
	for {
		if listening(socket) {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended before it listened: %w: %s", p.name, p.err, p.lastWords())
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s to listen: %w", p.name, ctx.Err())
		case <-deadline:
			return fmt.Errorf("%s does not listen after 20 s: %s", p.name, p.lastWords())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// listening looks into the kernel's list of UNIX sockets: number, references, protocol,
// flags, type, state, inode, path. The flag 10000 is __SO_ACCEPTCON.
func listening(socket string) bool {
	table, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(table)) {
		if fields := strings.Fields(line); len(fields) == 8 && fields[7] == socket {
			flags, err := strconv.ParseUint(fields[3], 16, 32)
			return err == nil && flags&0x10000 != 0
		}
	}
	return false
}
