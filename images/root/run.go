package root

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Command is one call of a tool of the building machine.
type Command struct {
	Name   string   // without a folder: "mksquashfs"
	Args   []string // never a secret: arguments can be read by every user
	Env    []string // added to a small fixed environment
	Dir    string   // working directory; empty: the caller's
	Stdin  io.Reader
	Stdout io.Writer         // nil: thrown away
	Lines  func(line string) // gets what the tool says on standard error, line by line
}

// Runner runs tools. Exec does it for real.
type Runner interface {
	Run(ctx context.Context, c Command) error
}

// MissingToolError says that a tool is not installed on the building machine.
type MissingToolError struct {
	Tool    string // the program or file that was looked for
	Package string // the Debian package that brings it, when known
}

func (e *MissingToolError) Error() string {
	if e.Package == "" {
		return fmt.Sprintf("%s is not installed on this machine", e.Tool)
	}
	return fmt.Sprintf("%s is not installed on this machine; install the package %s", e.Tool, e.Package)
}

// ToolError is a tool that ran and failed, with the end of what it said.
type ToolError struct {
	Tool string
	Err  error
	Tail string
}

func (e *ToolError) Error() string {
	if e.Tail == "" {
		return fmt.Sprintf("%s: %v", e.Tool, e.Err)
	}
	return fmt.Sprintf("%s: %v: %s", e.Tool, e.Err, e.Tail)
}

func (e *ToolError) Unwrap() error { return e.Err }

// packageOf names the Debian package of each tool used here.
var packageOf = map[string]string{
	"apt-get": "apt", "apt-cache": "apt", "mmdebstrap": "mmdebstrap", "dpkg-deb": "dpkg",
	"depmod": "kmod", "mksquashfs": "squashfs-tools", "tar2sqfs": "squashfs-tools-ng", "veritysetup": "cryptsetup-bin", "loadkeys": "kbd",
}

// Exec runs tools with a fixed environment and umask, so that the caller's locale,
// time zone, umask and apt configuration do not reach the image. Proxy variables
// are passed on.
type Exec struct{}

// Run implements Runner.
func (Exec) Run(ctx context.Context, c Command) error {
	tool, err := lookTool(c.Name)
	if err != nil {
		return err
	}
	// The umask belongs to the whole process in Go, so a shell sets it for the
	// child alone.
	cmd := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", `umask 022; exec "$@"`, "sh", tool}, c.Args...)...)
	cmd.Env = append(baseEnv(), c.Env...)
	cmd.Dir = c.Dir
	cmd.Stdin = c.Stdin
	cmd.Stdout = c.Stdout
	tail := &tailWriter{lines: c.Lines}
	cmd.Stderr = tail
	err = cmd.Run()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return &ToolError{Tool: c.Name, Err: err, Tail: tail.String()}
	}
	return nil
}

func lookTool(name string) (string, error) {
	if tool, err := exec.LookPath(name); err == nil {
		return tool, nil
	}
	// A normal user's PATH lacks these on Debian.
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if tool, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return tool, nil
		}
	}
	return "", &MissingToolError{Tool: name, Package: packageOf[name]}
}

func baseEnv() []string {
	env := []string{
		"PATH=" + os.Getenv("PATH") + ":/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin",
		"LC_ALL=C.UTF-8", "TZ=UTC", "DEBIAN_FRONTEND=noninteractive",
	}
	for _, key := range []string{"HOME", "TMPDIR", "http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"} {
		if value, ok := os.LookupEnv(key); ok {
			env = append(env, key+"="+value)
		}
	}
	return env
}

// tailWriter hands on complete lines and keeps the last ones for an error.
type tailWriter struct {
	lines func(string)
	part  []byte
	last  []string
}

func (w *tailWriter) Write(p []byte) (int, error) {
	w.part = append(w.part, p...)
	for {
		i := bytes.IndexAny(w.part, "\r\n")
		if i < 0 {
			return len(p), nil
		}
		w.line(string(w.part[:i]))
		w.part = w.part[i+1:]
	}
}

func (w *tailWriter) line(s string) {
	if s = strings.TrimSpace(s); s == "" {
		return
	}
	if w.last = append(w.last, s); len(w.last) > 5 {
		w.last = w.last[1:]
	}
	if w.lines != nil {
		w.lines(s)
	}
}

func (w *tailWriter) String() string {
	all := w.last
	if s := strings.TrimSpace(string(w.part)); s != "" {
		all = append(all[:len(all):len(all)], s)
	}
	return strings.Join(all, "; ")
}

// output runs a command and returns what it wrote to standard output.
func output(ctx context.Context, r Runner, c Command) ([]byte, error) {
	if c.Stdout != nil {
		return nil, errors.New("standard output is taken")
	}
	var out bytes.Buffer
	c.Stdout = &out
	if err := r.Run(ctx, c); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
