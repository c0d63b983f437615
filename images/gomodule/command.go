package gomodule

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/stek-edge/stek/images/component"
)

func (b *Builder) goCommand() string {
	if b.Go != "" {
		return b.Go
	}
	return "go"
}

// packages counts the packages that the programs are made of: the upper bound of
// what the compiler will report.
func (b *Builder) packages(ctx context.Context, r Recipe, dir string, env []string) (int64, error) {
	args := []string{"list", "-deps", "-tags", strings.Join(r.Tags, ",")}
	for _, p := range r.Programs {
		args = append(args, p.Package)
	}
	out, err := b.capture(ctx, dir, env, b.goCommand(), args...)
	if err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return 0, &ToolError{Tool: b.goCommand(), Remedy: "install Go, see https://go.dev/doc/install", Err: err}
		}
		return 0, fmt.Errorf("fetching and checking the sources: %w", err)
	}
	return int64(strings.Count(out, "\n")), nil
}

// capture runs a command to its end and returns what it printed. Its error holds
// the end of what it said on the way.
func (b *Builder) capture(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, env
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return "", explain(ctx, name, err, complaint.String())
	}
	return out.String(), nil
}

// compile runs the compiler and counts the packages it names on the way.
func (b *Builder) compile(ctx context.Context, dir string, env []string, count *counter, args []string) error {
	cmd := exec.CommandContext(ctx, b.goCommand(), args...)
	cmd.Dir, cmd.Env = dir, env
	// The compiler's children get the interrupt too and the pipe closes with the
	// last of them; a second is enough for that.
	cmd.WaitDelay = time.Second
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	var tail []string
	done := make(chan struct{})
	go func() {
		defer close(done)
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			line := lines.Text()
			if isPackage(line) {
				count.one(line)
				continue
			}
			if tail = append(tail, line); len(tail) > 20 {
				tail = tail[1:]
			}
		}
		_, _ = io.Copy(io.Discard, r)
	}()
	err := cmd.Run()
	w.Close()
	<-done
	if err != nil {
		return explain(ctx, b.goCommand(), err, strings.Join(tail, "\n"))
	}
	return nil
}

// isPackage tells an import path, which is what `go build -v` prints for each
// package, from anything else the compiler says.
func isPackage(line string) bool {
	return line != "" && !strings.ContainsAny(line, " \t:#")
}

func explain(ctx context.Context, name string, err error, complaint string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	complaint = strings.TrimSpace(complaint)
	if len(complaint) > 4000 {
		complaint = "…" + complaint[len(complaint)-4000:]
	}
	if complaint == "" {
		return fmt.Errorf("%s: %w", name, err)
	}
	return fmt.Errorf("%s: %w: %s", name, err, complaint)
}

func digestFile(path string) (string, error) {
	sum, _, err := digestAndSize(path)
	return sum, err
}

func digestAndSize(path string) (string, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	return digest(f)
}

// counter turns what the compiler says into progress. Its clock ticks on its own,
// since linking or one large C file is silent for a minute.
type counter struct {
	report component.Report
	task   string
	start  time.Time

	mu     sync.Mutex
	done   int64
	bound  int64
	detail string
}

func (c *counter) total(n int64) { c.mu.Lock(); c.bound = n; c.mu.Unlock(); c.send() }

func (c *counter) one(name string) {
	c.mu.Lock()
	c.done++
	c.detail = name
	c.mu.Unlock()
	c.send()
}

func (c *counter) send() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Send(component.Progress{Task: c.task, Unit: "packages", Done: c.done, Total: c.bound,
		Detail: c.detail, Elapsed: time.Since(c.start)})
}

// tick reports once a second until the returned function is called.
func (c *counter) tick() (stop func()) {
	end := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		t := time.NewTicker(time.Second)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				c.send()
			case <-end:
				return
			}
		}
	})
	return func() { close(end); wg.Wait() }
}
