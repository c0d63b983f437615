package debian

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/stek-edge/stek/images/root"
)

// packages are what the system has besides the essential ones.
const packages = "systemd,systemd-cryptsetup,cryptsetup-bin,libtss2-tcti-swtpm0t64,libtss2-tcti-device0t64,libtss2-rc0t64,tpm2-tools,e2fsprogs"

// Root gives the folder of the system, made at the first call and kept in the user's
// cache.
func Root(ctx context.Context) (string, error) { return keep(ctx, "root", packages) }

// keep makes a root with those packages, once; hooks are further arguments of mmdebstrap.
func keep(ctx context.Context, name, packages string, hooks ...string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	made := filepath.Join(cache, "stek", "test-"+root.Suite, name)
	if _, err := os.Stat(made); err == nil {
		return made, nil
	}
	mirror, err := root.HostMirror(os.DirFS("/"))
	if err != nil {
		return "", err
	}
	part := made + ".part"
	if err := os.RemoveAll(part); err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(made), 0o755); err != nil {
		return "", err
	}
	args := append([]string{"--variant=minbase", "--format=directory", "--include=" + packages}, hooks...)
	for _, path := range []string{"doc", "man", "locale"} {
		args = append(args, "--dpkgopt=path-exclude=/usr/share/"+path+"/*")
	}
	const source = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main"
	args = append(args, root.Suite, part, fmt.Sprintf(source, mirror.Archive, root.Suite), fmt.Sprintf(source, mirror.Security, root.Suite+"-security"))
	ctx, cancel := context.WithTimeout(ctx, 20*time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "mmdebstrap", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("making a Debian %s: %w\n%s", root.Suite, err, out)
	}
	return made, os.Rename(part, made)
}

// WriteDisk makes an image file with the system, as one ext4 without partitions.
func WriteDisk(ctx context.Context, path string) error {
	made, err := Root(ctx)
	if err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, "mkfs.ext4", "-q", "-d", made, path, "1500M").CombinedOutput(); err != nil {
		return fmt.Errorf("putting a Debian on a disk: %w\n%s", err, out)
	}
	return nil
}
