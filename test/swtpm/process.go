package swtpm

import (
	"os/exec"
	"runtime"
)

// process is a child that never outlives this program.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
}

// startProcess starts and waits in one goroutine that keeps its thread: the kernel's
// parent-death signal follows the thread that forked, not the program.
func startProcess(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, done: make(chan struct{})}
	dieWithParent(cmd)
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // killed on purpose: its exit status says nothing
		}
	}()
	return p, <-started
}

func (p *process) kill() {
	if p == nil || p.cmd.Process == nil {
		return
	}
	_ = p.cmd.Process.Kill()
	<-p.done
}
