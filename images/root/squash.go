package root

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"
)

// SquashOptions say how a tree is packed.
type SquashOptions struct {
	Epoch    time.Time
	Level    int // zstd, 1 to 22; 0: DefaultLevel
	Jobs     int // threads; 0: one for each processor. They do not change the bytes.
	Runner   Runner
	Progress Reporter
}

// DefaultLevel is the zstd level of a root.
const DefaultLevel = 15

// MaxLevel is the highest one (zstd(1), with --ultra).
const MaxLevel = 22

// squashBlock is the size of a squashfs block. Larger blocks pack better and make a
// page fault on a small program read more.
const squashBlock = 256 << 10

// Squash writes the tree as a squashfs image with zstd, padded with zeroes to whole
// 4096-byte blocks, whole or not at all.
func Squash(ctx context.Context, t *Tree, name string, o SquashOptions) (err error) {
	level, jobs := o.Level, o.Jobs
	if level == 0 {
		level = DefaultLevel
	}
	if jobs == 0 {
		jobs = runtime.NumCPU()
	}
	if level < 1 || level > MaxLevel {
		return fmt.Errorf("packing the root: zstd has no level %d", level)
	}
	dir, err := os.MkdirTemp(filepath.Dir(name), ".squash-*")
	if err != nil {
		return fmt.Errorf("packing the root: %w", err)
	}
	defer os.RemoveAll(dir)
	temp := filepath.Join(dir, "root.squashfs")

	total := t.Size("")
	o.Progress.bytes("squash", "packing the root", 0, total)
	pr, pw := io.Pipe()
	written := make(chan error, 1)
	go func() {
		count := &countingWriter{w: pw, report: func(n int64) { o.Progress.bytes("squash", "packing the root", min(n, total), total) }}
		w := bufio.NewWriterSize(count, 1<<20)
		err := t.WriteTar(w, o.Epoch)
		if err == nil {
			err = w.Flush()
		}
		pw.CloseWithError(err)
		written <- err
	}()
	epoch := strconv.FormatInt(o.Epoch.Unix(), 10)
	err = o.Runner.Run(ctx, Command{
		Name: "tar2sqfs",
		Args: []string{"--quiet", "--force", "--compressor", "zstd", "--comp-extra", "level=" + strconv.Itoa(level),
			"--block-size", strconv.Itoa(squashBlock), "--num-jobs", strconv.Itoa(jobs),
			"--defaults", "uid=0,gid=0,mode=0755,mtime=" + epoch, temp},
		Env:   []string{"SOURCE_DATE_EPOCH=" + epoch},
		Stdin: pr,
	})
	pr.CloseWithError(errors.New("the packer stopped reading"))
	if werr := <-written; err == nil {
		err = werr
	}
	if err == nil {
		err = pad(temp)
	}
	if err == nil {
		err = os.Rename(temp, name)
	}
	if err != nil {
		return fmt.Errorf("packing the root: %w", err)
	}
	return nil
}

// pad fills a file up to whole dm-verity blocks.
func pad(name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if info.Size() == 0 {
		return errors.New("the packer wrote nothing")
	}
	return os.Truncate(name, (info.Size()+VerityBlock-1)/VerityBlock*VerityBlock)
}

type countingWriter struct {
	w      io.Writer
	n      int64
	last   time.Time
	report func(int64)
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	if now := time.Now(); now.Sub(c.last) > 500*time.Millisecond {
		c.last = now
		c.report(c.n)
	}
	return n, err
}
