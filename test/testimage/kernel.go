package testimage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// KernelEnv names the environment variable with a directory that holds an unpacked
// kernel package (boot/vmlinuz-*, and lib/modules or usr/lib/modules). With it,
// TestKernel downloads nothing.
const KernelEnv = "STEK_TEST_KERNEL"

// kernelPackage is the meta-package that depends on the current kernel of the release.
const kernelPackage = "linux-image-amd64"

// Kernel is a kernel that a guest can be started with.
type Kernel struct {
	Image   string // vmlinuz
	Modules string // lib/modules/<version>
	Version string // as uname -r prints it
}

// FindKernel finds the newest kernel in an unpacked root or package.
func FindKernel(root string) (Kernel, error) {
	images, err := filepath.Glob(filepath.Join(root, "boot", "vmlinuz-*"))
	if err != nil {
		return Kernel{}, fmt.Errorf("looking for a kernel: %w", err)
	}
	slices.Sort(images)
	for _, image := range slices.Backward(images) {
		version := strings.TrimPrefix(filepath.Base(image), "vmlinuz-")
		for _, lib := range []string{"usr/lib", "lib"} {
			modules := filepath.Join(root, lib, "modules", version)
			if _, err := os.Stat(modules); err == nil {
				return Kernel{Image: image, Modules: modules, Version: version}, nil
			}
		}
	}
	return Kernel{}, fmt.Errorf("looking for a kernel: %s holds no boot/vmlinuz-* with its modules", root)
}

// TestKernel gives the kernel for tests: the one in $STEK_TEST_KERNEL, or else Debian's,
// kept in the user's cache directory.
func TestKernel(ctx context.Context) (Kernel, error) {
	if root := os.Getenv(KernelEnv); root != "" {
		return FindKernel(root)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return Kernel{}, fmt.Errorf("finding the cache for the test kernel: %w; set %s to a directory with an unpacked kernel package", err, KernelEnv)
	}
	return DebianKernel(ctx, filepath.Join(cache, "stek", "test-kernel"))
}

// DebianKernel gives the kernel of this Debian release. The package is fetched with apt
// from the machine's own sources, unpacked into cacheDir and not installed. Once there
// it is used without asking apt again; remove the directory to get a newer one. Several
// processes may ask at the same time.
func DebianKernel(ctx context.Context, cacheDir string) (Kernel, error) {
	if err := os.MkdirAll(cacheDir, 0o755); err != nil {
		return Kernel{}, fmt.Errorf("making the kernel cache: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(cacheDir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return Kernel{}, fmt.Errorf("locking the kernel cache: %w", err)
	}
	defer lock.Close() // closing gives the lock back
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return Kernel{}, fmt.Errorf("locking the kernel cache: %w", err)
	}
	unpacked := filepath.Join(cacheDir, "root")
	if kernel, err := FindKernel(unpacked); err == nil {
		return kernel, nil
	}
	if err := fetchKernel(ctx, cacheDir, unpacked); err != nil {
		return Kernel{}, fmt.Errorf("getting Debian's kernel (run apt-get update, or set %s): %w", KernelEnv, err)
	}
	return FindKernel(unpacked)
}

// fetchKernel unpacks beside the final place and renames, so that a cut download or a
// full disk leaves nothing that looks complete.
func fetchKernel(ctx context.Context, cacheDir, unpacked string) error {
	work, err := os.MkdirTemp(cacheDir, "fetch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	name, err := currentKernelPackage(ctx)
	if err != nil {
		return err
	}
	if _, err := run(ctx, work, "apt-get", "download", name); err != nil {
		return err
	}
	debs, err := filepath.Glob(filepath.Join(work, "*.deb"))
	if err != nil {
		return err
	}
	if len(debs) != 1 {
		return fmt.Errorf("apt-get download %s left %d packages, want one", name, len(debs))
	}
	root := filepath.Join(work, "root")
	if _, err := run(ctx, work, "dpkg-deb", "-x", debs[0], root); err != nil {
		return err
	}
	if _, err := FindKernel(root); err != nil {
		return err
	}
	if err := os.RemoveAll(unpacked); err != nil {
		return err
	}
	return os.Rename(root, unpacked)
}

// currentKernelPackage asks apt which versioned package the meta-package depends on.
func currentKernelPackage(ctx context.Context) (string, error) {
	out, err := run(ctx, "", "apt-cache", "depends", "--important", kernelPackage)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(out) {
		if _, name, ok := strings.Cut(line, "Depends:"); ok && strings.Contains(name, "linux-image-") {
			return strings.TrimSpace(name), nil
		}
	}
	return "", errors.New("apt knows no kernel that linux-image-amd64 depends on")
}

// run gives the standard output of a program, and its standard error in the error.
func run(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}
