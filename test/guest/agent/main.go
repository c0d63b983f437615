// Command agent is the first process of the guests of package guest: it mounts, loads
// the modules, runs the one program of its job and reports what it prints and how it
// ends on the second serial port. Then it powers off. It must never end without that, and
// never be part of an image of the product. Package guest builds it as /init:
//
//	err := tree.AddGo(ctx, "/init", "github.com/stek-edge/stek/test/guest/agent")
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/test/guest/inside"
	"github.com/stek-edge/stek/test/guest/internal/job"
)

func main() {
	setup := inside.Setup() // without /dev there is nowhere to report to
	port, err := openPort()
	if err != nil {
		fmt.Println("agent:", errors.Join(setup, err))
		inside.PowerOff()
	}
	if setup != nil {
		port.send(job.Message{Failure: setup.Error()})
		inside.PowerOff()
	}
	exit, took, err := runJob(port)
	if err != nil {
		port.send(job.Message{Failure: err.Error()})
	} else {
		port.send(job.Message{Exit: &exit, Run: took})
	}
	inside.PowerOff()
}

// port is the way to the host; program output comes from two goroutines.
type port struct {
	sync.Mutex
	out *json.Encoder
}

// openPort opens the serial port without any line discipline: no echo, no newline
// conversion, and no job control that could stop the agent.
func openPort() (*port, error) {
	f, err := os.OpenFile(job.Port, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the way to the host: %w", err)
	}
	mode, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("opening the way to the host: %w", err)
	}
	mode.Iflag, mode.Oflag, mode.Lflag = 0, 0, 0
	if err := unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, mode); err != nil {
		return nil, fmt.Errorf("opening the way to the host: %w", err)
	}
	return &port{out: json.NewEncoder(f)}, nil
}

func (p *port) send(m job.Message) {
	p.Lock()
	defer p.Unlock()
	if err := p.out.Encode(m); err != nil {
		fmt.Println("agent: reporting to the host:", err)
	}
}

// streamTo sends on what is written to it.
type streamTo struct {
	port *port
	wrap func(data []byte) job.Message
}

func (s streamTo) Write(data []byte) (int, error) {
	s.port.send(s.wrap(data))
	return len(data), nil
}

// runJob runs the program to its end and gives its exit status.
func runJob(p *port) (exit int, took time.Duration, err error) {
	text, err := os.ReadFile(job.JobPath)
	if err != nil {
		return 0, 0, fmt.Errorf("reading the job: %w", err)
	}
	var j job.Job
	if err := json.Unmarshal(text, &j); err != nil {
		return 0, 0, fmt.Errorf("reading the job: %w", err)
	}
	input, err := stdin(j.Stdin)
	if err != nil {
		return 0, 0, err
	}
	cmd := exec.Command(j.Program, j.Args...)
	cmd.Dir = j.Dir
	cmd.Env = append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "TMPDIR=/tmp"}, j.Env...)
	cmd.Stdin = input
	cmd.Stdout = streamTo{p, func(data []byte) job.Message { return job.Message{Stdout: data} }}
	cmd.Stderr = streamTo{p, func(data []byte) job.Message { return job.Message{Stderr: data} }}
	cmd.WaitDelay = 5 * time.Second // a child of the program may hold its output open
	started := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, 0, fmt.Errorf("starting the program: %w", err)
	}
	p.send(job.Message{Started: true})
	err = cmd.Wait()
	took = time.Since(started)
	var failed *exec.ExitError
	switch {
	case errors.As(err, &failed):
		if status, ok := failed.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return 128 + int(status.Signal()), took, nil
		}
		return failed.ExitCode(), took, nil
	case errors.Is(err, exec.ErrWaitDelay):
		return cmd.ProcessState.ExitCode(), took, nil
	}
	return 0, took, err
}

// stdin gives the program its input as a file in memory, so that it sees an end.
func stdin(data []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("stdin", 0)
	if err != nil {
		return nil, fmt.Errorf("preparing standard input: %w", err)
	}
	f := os.NewFile(uintptr(fd), "stdin")
	if _, err := f.Write(data); err != nil {
		return nil, fmt.Errorf("preparing standard input: %w", err)
	}
	_, err = f.Seek(0, 0)
	return f, err
}
