package vm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// left is the note in a machine's Dir about a box that runs on without us.
type left struct {
	QEMU    int    `json:"qemu"`            // process id
	SWTPM   int    `json:"swtpm,omitempty"` // process id
	Run     string `json:"run"`             // directory with the sockets
	Console string `json:"console"`         // UNIX socket of the first serial port
}

const leftFile = "running.json"

// Detach leaves the box running when this program ends. The machine must have been
// started with Outlive. Afterwards the box's console is free for one other program, for
// instance `socat -,raw,echo=0,escape=0x1d UNIX-CONNECT:` and ConsoleSocket; Stop ends it.
func (b *Box) Detach() error {
	if !b.Machine.Outlive {
		return errors.New("leaving the box running: the machine was started without Outlive")
	}
	note := left{QEMU: b.qemu.pid, Run: b.run, Console: b.wiring.serial}
	if b.swtpm != nil {
		note.SWTPM = b.swtpm.pid
	}
	text, err := json.Marshal(note)
	if err != nil {
		return fmt.Errorf("leaving the box running: %w", err)
	}
	if err := os.WriteFile(filepath.Join(b.Machine.Dir, leftFile), text, 0o600); err != nil {
		return fmt.Errorf("leaving the box running: %w", err)
	}
	b.unbind()
	b.mu.Lock()
	b.detached = true
	b.mu.Unlock()
	b.close.Do(b.release)
	return nil
}

// ConsoleSocket is the UNIX socket of the first serial port. It takes one connection,
// which is this program's until Detach.
func (b *Box) ConsoleSocket() string { return b.wiring.serial }

// Stop cuts the power of a box that was left running with Detach, by its machine's Dir.
// Nothing running there is no error.
func Stop(ctx context.Context, dir string) error {
	file := filepath.Join(dir, leftFile)
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("stopping the box: %w", err)
	}
	var note left
	if err := json.Unmarshal(text, &note); err != nil {
		return fmt.Errorf("stopping the box: reading %s: %w", file, err)
	}
	for _, child := range []struct {
		pid  int
		name string
	}{{note.QEMU, "qemu-system"}, {note.SWTPM, "swtpm"}} {
		if err := endProcess(ctx, child.pid, child.name, note.Run); err != nil {
			return fmt.Errorf("stopping the box: %w", err)
		}
	}
	if strings.HasPrefix(filepath.Base(note.Run), socketPrefix) {
		os.RemoveAll(note.Run)
	}
	return os.Remove(file)
}

// endProcess kills a process of that number only if its command line is the one we
// started: numbers are used again.
func endProcess(ctx context.Context, pid int, name, run string) error {
	ours := func() bool {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		return err == nil && strings.Contains(string(line), name) && strings.Contains(string(line), run)
	}
	if pid <= 1 || !ours() {
		return nil
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
		return fmt.Errorf("killing %s: %w", name, err)
	}
	for ours() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s (%d) to end: %w", name, pid, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}
