package installer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/installer/durable"
	"github.com/stek-edge/stek/installer/fatmount"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/preseed"
)

// Runner runs a stock tool. What the tool reads as standard input may be a secret;
// its arguments never are.
type Runner interface {
	Run(ctx context.Context, stdin []byte, name string, args ...string) (stdout []byte, err error)
}

// Site is where a plan is carried out: everything that a step touches is named here,
// so that nothing opens a device by itself.
type Site struct {
	Machine  hardware.Roots // where the target's device nodes and what the kernel says of them are
	Answers  *preseed.Answers
	StickESP string // the stick's FAT partition, mounted read-write here
	Root     string // device or file with the root file system and its verity tree
	EFIVars  string // /sys/firmware/efi/efivars
	Shadow   string // the image's /etc/shadow
	Keymaps  string // the image's console layouts, keymap.Dir
	TPM      string // as tpm.Open takes it: /dev/tpmrm0
	WorkDir  string // for mount points
	Tools    Runner
	Person   Person
	Attended bool // somebody is at Person's screen: what is shown may wait to be copied
	Now      func() time.Time
}

// Tools runs stock tools as child processes.
type Tools struct{}

// Run implements Runner. The error of a failed tool carries what it said.
func (Tools) Run(ctx context.Context, stdin []byte, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return out.Bytes(), fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(said.String()))
	}
	return out.Bytes(), nil
}

// Do runs a tool for what it does. What it prints is told only when it fails.
func (t Tools) Do(ctx context.Context, name string, args ...string) error {
	if _, err := t.Run(ctx, nil, name, args...); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// mounted mounts a device of the disk for the time of a function, whose errors are
// returned as they are, and then once more, to read back every file that is there: some
// disks say of everything that it was written and keep nothing. What was written is on the
// medium when it returns without error.
func (s *Site) mounted(device, fstype string, do func(dir string) error) error {
	var wrote map[string][sha256.Size]byte
	err := s.mountedAs(forWriting, device, fstype, func(dir string) error {
		err := do(dir)
		if err == nil {
			wrote, err = sumFiles(dir)
			err = on(TheDisk, err)
		}
		return err
	})
	if err != nil {
		return err
	}
	return s.readBack(device, fstype, wrote)
}

// readBack compares what is on the medium with the sums of what was written to it.
func (s *Site) readBack(device, fstype string, wrote map[string][sha256.Size]byte) error {
	return s.mountedAs(unix.MS_RDONLY, device, fstype, func(dir string) error {
		kept, err := sumFiles(dir)
		if err != nil {
			return on(TheDisk, fmt.Errorf("reading back what was written: %w", err))
		}
		for name, sum := range wrote {
			if kept[name] != sum {
				return on(TheDisk, fmt.Errorf("%s does not read back as it was written: the disk does not keep what is written", name))
			}
		}
		return nil
	})
}

// forWriting is the flag of mount(2) that is none.
const forWriting = 0

func (s *Site) mountedAs(flags uintptr, device, fstype string, do func(dir string) error) (err error) {
	dir, err := os.MkdirTemp(s.WorkDir, "mount-")
	if err != nil {
		return err
	}
	defer os.Remove(dir)
	if fstype == "vfat" && flags == forWriting {
		_, err = fatmount.Mount(device, dir) // what an earlier try left half is not worth a word
	} else if err = unix.Mount(device, dir, fstype, flags|unix.MS_NODEV|unix.MS_NOSUID|unix.MS_NOEXEC, ""); err != nil {
		err = fmt.Errorf("mounting %s: %w", device, err)
	}
	if err != nil {
		return on(TheDisk, err)
	}
	defer func() {
		if released := release(device, dir); err == nil {
			err = on(TheDisk, released)
		}
	}()
	return do(dir)
}

// sumFiles gives the SHA-256 of every file below a folder.
func sumFiles(dir string) (map[string][sha256.Size]byte, error) {
	sums := map[string][sha256.Size]byte{}
	root := os.DirFS(dir)
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := root.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		h := sha256.New()
		if _, err := io.Copy(h, f); err != nil {
			return err
		}
		sums[name] = [sha256.Size]byte(h.Sum(nil))
		return nil
	})
	return sums, err
}

// release unmounts, and returns what could not be written: umount(2) itself says nothing of
// it. syncfs(2) tells of files, and the device of what only the unmounting wrote.
func release(device, dir string) error {
	return errors.Join(syncAll(dir, func(f *os.File) error { return unix.Syncfs(int(f.Fd())) }), unmount(dir), syncAll(device, (*os.File).Sync))
}

func syncAll(path string, sync func(*os.File) error) error {
	f, err := os.Open(path)
	if err == nil {
		err = errors.Join(sync(f), f.Close())
	}
	if err != nil {
		return fmt.Errorf("writing out %s: %w", path, err)
	}
	return nil
}

// unmount writes everything out and retries for a moment: something may be looking
// at a file system that has just appeared.
func unmount(dir string) error {
	var err error
	for range 50 {
		if err = unix.Unmount(dir, 0); !errors.Is(err, unix.EBUSY) {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err != nil {
		return fmt.Errorf("unmounting %s: %w", dir, err)
	}
	return nil
}

// copyFile copies one file from the stick to the disk and returns when it is safe on the medium.
func copyFile(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return on(TheStick, err)
	}
	return on(TheDisk, durable.WriteFile(to, content, 0o644))
}

// readFile reads a whole file of limit bytes at most.
func readFile(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("%s has more than %d bytes", filepath.Base(name), limit)
	}
	return content, nil
}
