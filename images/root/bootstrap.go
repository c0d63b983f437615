package root

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// baseFormat changes when the same packages would give another base tar.
const baseFormat = "stek base 2"

// dpkgOptions keep documentation and translations out; licences stay in.
var dpkgOptions = []string{
	"path-exclude=/usr/share/man/*",
	"path-exclude=/usr/share/locale/*",
	"path-exclude=/usr/share/info/*",
	"path-exclude=/usr/share/doc/*",
	"path-include=/usr/share/doc/*/copyright",
}

// Base is everything the packages hold, before pruning.
type Base struct {
	TarPath string // uncompressed, in the cache
	Key     string // hash of all inputs, 64 hex digits
	Reused  bool   // it was in the cache already
}

// Key is the hash of everything that the base depends on: packages with digests,
// how each is used, architecture, build time and options. The mirror's address is
// no part of it.
func (r *Resolved) Key() string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n%s\n%d\n%q\n", baseFormat, Suite, r.Source.Arch, r.Source.Epoch.Unix(), dpkgOptions)
	for _, p := range r.Packages {
		fmt.Fprintf(h, "%s %s %s %s %t\n", p.Name, p.Version, p.Arch, p.SHA256, p.Unpacked)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Bootstrap makes the base, or finds it in the cache. Making it takes about a
// minute and runs mmdebstrap, as root or in a user namespace.
func (r *Resolved) Bootstrap(ctx context.Context) (*Base, error) {
	s := r.Source
	dir := filepath.Join(s.CacheDir, "base")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("preparing the cache: %w", err)
	}
	key := r.Key()
	base := &Base{TarPath: filepath.Join(dir, s.Arch+"-"+key+".tar"), Key: key}
	if _, err := os.Stat(base.TarPath); err == nil {
		base.Reused = true
		s.Progress.say("bootstrap", "nothing changed, the base is in the cache")
		return base, nil
	}
	work, err := os.MkdirTemp(dir, ".work-*")
	if err != nil {
		return nil, fmt.Errorf("preparing the cache: %w", err)
	}
	defer os.RemoveAll(work)

	debs, err := r.download(ctx)
	if err != nil {
		return nil, fmt.Errorf("downloading packages: %w", err)
	}
	installed := filepath.Join(work, "installed.tar")
	if err := r.mmdebstrap(ctx, installed); err != nil {
		return nil, fmt.Errorf("installing the packages into a new root: %w", err)
	}
	whole := filepath.Join(work, "base.tar")
	if err := r.merge(ctx, work, whole, installed, debs); err != nil {
		return nil, fmt.Errorf("putting the base together: %w", err)
	}
	if err := os.Rename(whole, base.TarPath); err != nil {
		return nil, fmt.Errorf("keeping the base in the cache: %w", err)
	}
	return base, forget(dir, s.Arch+"-*.tar", 3)
}

// Open reads the base into a tree. Close the closer when the tree is written.
func (b *Base) Open() (*Tree, io.Closer, error) {
	return openTar(b.TarPath)
}

func openTar(name string) (*Tree, io.Closer, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, fmt.Errorf("opening the base: %w", err)
	}
	info, err := f.Stat()
	if err == nil {
		t := NewTree()
		if err = t.ReadTar(f, info.Size()); err == nil {
			return t, f, nil
		}
	}
	return nil, nil, errors.Join(fmt.Errorf("opening the base %s: %w", filepath.Base(name), err), f.Close())
}

// download fetches what is not in the cache yet. It returns the files of the
// packages that are only unpacked, their digests checked.
func (r *Resolved) download(ctx context.Context) (map[string]string, error) {
	s := r.Source
	var total int64
	var unpack []string
	install := []string{"-q", "-y", "--download-only", "install"}
	for _, p := range r.Packages {
		total += p.Size
		if p.Unpacked {
			unpack = append(unpack, p.Name+"="+p.Version)
		} else {
			install = append(install, p.Name+"="+p.Version)
		}
	}
	stop := r.watch(total)
	defer stop()
	if err := r.apt.run(ctx, nil, "apt-get", install...); err != nil {
		return nil, err
	}
	dir := filepath.Join(r.apt.dir, "unpack")
	if len(unpack) > 0 {
		c := r.apt.command("apt-get", append([]string{"-q", "download"}, unpack...)...)
		c.Dir = dir
		if err := s.Runner.Run(ctx, c); err != nil {
			return nil, err
		}
	}
	debs := map[string]string{}
	for _, p := range r.Packages {
		if !p.Unpacked {
			continue
		}
		name := filepath.Join(dir, debName(p))
		if err := checkDigest(name, p.SHA256); err != nil {
			return nil, err
		}
		debs[p.Name] = name
	}
	return debs, r.sweep(dir)
}

// watch reports how much of the packages is there, until the returned function is
// called: apt itself says nothing that could be counted.
func (r *Resolved) watch(total int64) (stop func()) {
	report := func() {
		var have int64
		for _, p := range r.Packages {
			for _, dir := range []string{r.apt.archives(), filepath.Join(r.apt.archives(), "partial"), filepath.Join(r.apt.dir, "unpack")} {
				if info, err := os.Stat(filepath.Join(dir, debName(p))); err == nil {
					have += info.Size()
					break
				}
			}
		}
		r.Source.Progress.bytes("download", fmt.Sprintf("downloading %d packages", len(r.Packages)), min(have, total), total)
	}
	report()
	end := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				report()
			case <-end:
				report()
				return
			}
		}
	})
	return func() { close(end); running.Wait() }
}

// debName is the file name that apt gives to a downloaded package: the colon of an
// epoch is escaped.
func debName(p Package) string {
	return fmt.Sprintf("%s_%s_%s.deb", p.Name, strings.ReplaceAll(p.Version, ":", "%3a"), p.Arch)
}

// sweep removes packages that no list means any more.
func (r *Resolved) sweep(unpackDir string) error {
	wanted := map[string]bool{}
	for _, p := range r.Packages {
		wanted[debName(p)] = true
	}
	for _, dir := range []string{unpackDir, r.apt.archives()} {
		names, err := filepath.Glob(filepath.Join(dir, "*.deb"))
		if err != nil {
			return err
		}
		for _, name := range names {
			if !wanted[filepath.Base(name)] {
				if err := os.Remove(name); err != nil {
					return fmt.Errorf("sweeping the cache: %w", err)
				}
			}
		}
	}
	return nil
}

func checkDigest(name, want string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return fmt.Errorf("reading %s: %w", filepath.Base(name), err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		return fmt.Errorf("%s has the SHA-256 %s, the package index says %s; remove the file and try again", filepath.Base(name), got, want)
	}
	return nil
}

// mmdebstrap installs the packages into a tar. It reads the very index files that
// the packages were resolved with and the debs that are in the cache, so it needs no
// network and cannot see newer versions.
func (r *Resolved) mmdebstrap(ctx context.Context, tar string) error {
	s := r.Source
	mode := "unshare"
	if os.Geteuid() == 0 {
		mode = "root"
	}
	// Sorted: the order in which packages are asked for must not matter.
	include := slices.Sorted(slices.Values(s.Packages.Install))
	args := []string{
		"--mode=" + mode, "--variant=essential", "--format=tar", "--architectures=" + s.Arch,
		"--skip=update",
		"--include=" + strings.Join(include, ","),
		"--setup-hook=sync-in '" + r.apt.lists() + "' /var/lib/apt/lists",
		`--setup-hook=mkdir -p "$1"/var/cache/apt/archives/partial`,
		"--setup-hook=sync-in '" + r.apt.archives() + "' /var/cache/apt/archives",
		`--aptopt=Acquire::Languages "none"`,
	}
	if s.Arch != runtime.GOARCH {
		// Debian's and Go's names agree for the two architectures. binfmt_misc may
		// be there without the arch-test that mmdebstrap would ask.
		args = append(args, "--skip=check/qemu")
	}
	for _, option := range dpkgOptions {
		args = append(args, "--dpkgopt="+option)
	}
	args = append(args, Suite, tar, "-")
	return s.Runner.Run(ctx, Command{
		Name: "mmdebstrap", Args: args,
		Env:   []string{fmt.Sprintf("SOURCE_DATE_EPOCH=%d", s.Epoch.Unix())},
		Stdin: strings.NewReader(aptSources(s.Mirror)),
		Lines: func(line string) {
			if text, ok := strings.CutPrefix(line, "I: "); ok {
				s.Progress.say("bootstrap", text)
			}
		},
	})
}

// forget keeps the newest files that match a pattern and removes the others: a base
// is large, and old ones are rarely asked for again.
func forget(dir, pattern string, keep int) error {
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		return fmt.Errorf("sweeping the cache: %w", err)
	}
	age := map[string]int64{}
	for _, name := range names {
		if info, err := os.Stat(name); err == nil {
			age[name] = info.ModTime().UnixNano()
		}
	}
	slices.SortFunc(names, func(a, b string) int { return int(min(1, max(-1, age[b]-age[a]))) })
	for _, name := range names[min(keep, len(names)):] {
		if err := os.Remove(name); err != nil {
			return fmt.Errorf("sweeping the cache: %w", err)
		}
	}
	return nil
}
