package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Command is one run of another program. Secrets go through Stdin and Files,
// never through Args, which every process on the machine can read.
type Command struct {
	Name  string
	Args  []string
	Stdin []byte
	// Files are readable by the program as /proc/self/fd/3 and following. Each
	// must be smaller than a pipe holds (64 KiB).
	Files [][]byte
}

// Runner runs a program and returns what it wrote to standard output. The error
// of a program that failed is a *ExitError.
type Runner interface {
	Run(ctx context.Context, c Command) ([]byte, error)
}

// ExitError means that a program ran and failed.
type ExitError struct {
	Command string // name and first argument: never a secret
	Code    int
	Message string // what it wrote to standard error, without secrets
}

func (e *ExitError) Error() string {
	return fmt.Sprintf("%s failed (code %d): %s", e.Command, e.Code, e.Message)
}

// Exec is the Runner that starts real programs.
type Exec struct{}

// Run starts the program and waits for it.
func (Exec) Run(ctx context.Context, c Command) ([]byte, error) {
	cmd := exec.CommandContext(ctx, c.Name, c.Args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Stdin = bytes.NewReader(c.Stdin)
	for _, content := range c.Files {
		r, err := filled(content)
		if err != nil {
			return nil, fmt.Errorf("handing a file to %s: %w", c.Name, err)
		}
		defer r.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, r)
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		name := c.Name
		if len(c.Args) != 0 {
			name += " " + c.Args[0]
		}
		return nil, &ExitError{Command: name, Code: exit.ExitCode(), Message: strings.Join(strings.Fields(stderr.String()), " ")}
	}
	if err != nil {
		return nil, fmt.Errorf("running %s: %w", c.Name, errors.Join(ctx.Err(), err))
	}
	return stdout.Bytes(), nil
}

// filled is a pipe that already holds content and nothing will follow.
func filled(content []byte) (*os.File, error) {
	if len(content) > 60<<10 {
		return nil, errors.New("too large for a pipe")
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	_, werr := w.Write(content)
	if err := errors.Join(werr, w.Close()); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}
