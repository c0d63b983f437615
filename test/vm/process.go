package vm

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is one running child. It dies with this program.
type process struct {
	name   string
	pid    int
	stderr string // file with what it said
	done   chan struct{}
	err    error // of Wait; valid once done is closed
}

// children holds what this program started and has not yet reaped.
var children = struct {
	sync.Mutex
	pids map[int]string
}{pids: map[int]string{}}

// Children lists the QEMU and swtpm processes that this program started and that still
// run, as "name (pid)". After every Box is closed it is empty.
func Children() []string {
	children.Lock()
	defer children.Unlock()
	var list []string
	for pid, name := range children.pids {
		list = append(list, fmt.Sprintf("%s (%d)", name, pid))
	}
	slices.Sort(list)
	return list
}

// startProcess starts a child whose output goes to a file. Unless it shall outlive this
// program, the kernel kills it when this program ends, however that happens.
//
// The death signal is bound to the thread that forked, not to the program (prctl(2),
// PR_SET_PDEATHSIG), so that thread is kept until the child has ended.
func startProcess(logs string, outlive bool, name string, args ...string) (*process, error) {
	p := &process{name: filepath.Base(name), stderr: filepath.Join(logs, filepath.Base(name)+".log"), done: make(chan struct{})}
	log, err := os.OpenFile(p.stderr, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", p.name, err)
	}
	defer log.Close()
	cmd := exec.Command(name, args...)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	if outlive {
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	} else {
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		p.pid = cmd.Process.Pid
		children.Lock()
		children.pids[p.pid] = p.name
		children.Unlock()
		started <- nil
		p.err = cmd.Wait()
		children.Lock()
		delete(children.pids, p.pid)
		children.Unlock()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", p.name, err)
	}
	return p, nil
}

// exited tells whether the child has ended.
func (p *process) exited() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// kill ends the child at once and waits until it is gone. A child that the kernel cannot
// end (stuck in a driver) is an error after ten seconds.
func (p *process) kill() error {
	if p.exited() {
		return nil
	}
	if err := syscall.Kill(p.pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
		return fmt.Errorf("killing %s: %w", p.name, err)
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(10 * time.Second):
		return fmt.Errorf("killing %s (%d): it is still there after 10 s", p.name, p.pid)
	}
}

// lastWords gives the end of what the child wrote, for an error.
func (p *process) lastWords() string {
	text, err := os.ReadFile(p.stderr)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-10):], "\n")
}
