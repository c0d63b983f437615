package stage1

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/anatol/devmapper.go"
	"golang.org/x/sys/unix"
)

// sysroot is where the root file system is put together before switch_root.
const sysroot = "/sysroot"

// mountRoot maps the verity device over the root partition and mounts it. A block
// that does not fit the tree is an I/O error for whoever reads it, which fails
// closed for that file alone: to panic instead would turn one worn block of a
// file that is never read into a node that is never up.
func mountRoot(spec RootSpec, device string) error {
	table := devmapper.VerityTable{
		Length:         spec.Blocks * verityBlock,
		HashType:       1,
		DataDevice:     device,
		HashDevice:     device,
		DataBlockSize:  verityBlock,
		HashBlockSize:  verityBlock,
		NumDataBlocks:  spec.Blocks,
		HashStartBlock: spec.Blocks + 1,
		Algorithm:      "sha256",
		Digest:         spec.Hash,
		Salt:           spec.Salt,
	}
	if err := devmapper.CreateAndLoad("root", "CRYPT-VERITY-"+spec.Hash[:32]+"-root", unix.DM_READONLY_FLAG, table); err != nil {
		return fmt.Errorf("setting up the verified root on %s: %w", device, err)
	}
	mapped, err := mapperNode("root")
	if err != nil {
		return err
	}
	if err := unix.Mount(mapped, sysroot, "squashfs", unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("mounting the root file system: %w (the image on %s is damaged or does not belong to this kernel; write it again)", err, device)
	}
	return nil
}

// mapperNode makes the /dev/mapper name of a mapping, since no udev is there to do it.
func mapperNode(name string) (string, error) {
	info, err := devmapper.InfoByName(name)
	if err != nil {
		return "", fmt.Errorf("finding the mapping %s: %w", name, err)
	}
	link := "/dev/mapper/" + name
	target := fmt.Sprintf("/dev/dm-%d", unix.Minor(info.DevNo))
	if err := os.Symlink("../dm-"+fmt.Sprint(unix.Minor(info.DevNo)), link); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("naming the mapping %s: %w", name, err)
	}
	return target, nil
}

// layState lays what is private and mutable over the read-only root. The state file
// system is already mounted on sysroot/state: the encrypted volume on a node, a
// tmpfs in the installer.
func layState() error {
	state := filepath.Join(sysroot, "state")
	for dir, mode := range map[string]os.FileMode{
		"etc": 0o755, "etc/upper": 0o755, "etc/work": 0o755, "var": 0o755, "home": 0o755, "root": 0o700, "stek": 0o700,
	} {
		if err := os.MkdirAll(filepath.Join(state, dir), mode); err != nil {
			return fmt.Errorf("preparing the state file system: %w", err)
		}
	}
	if err := fillVar(filepath.Join(sysroot, "var"), filepath.Join(state, "var")); err != nil {
		return fmt.Errorf("filling /var: %w", err)
	}
	etc := filepath.Join(sysroot, "etc")
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", etc, filepath.Join(state, "etc/upper"), filepath.Join(state, "etc/work"))
	if err := unix.Mount("overlay", etc, "overlay", 0, options); err != nil {
		return fmt.Errorf("laying /etc over the root: %w", err)
	}
	for _, dir := range []string{"var", "home", "root"} {
		if err := unix.Mount(filepath.Join(state, dir), filepath.Join(sysroot, dir), "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mounting /%s: %w", dir, err)
		}
	}
	return nil
}

// fillVar copies the directories and files that the image's own /var has and the
// state's has not, so that a new image's additions appear and nothing is lost.
func fillVar(from, to string) error {
	return filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(from, p)
		target := filepath.Join(to, rel)
		if _, err := os.Lstat(target); err == nil {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			if err := os.Mkdir(target, info.Mode().Perm()); err != nil {
				return err
			}
		case info.Mode()&fs.ModeSymlink != 0:
			link, err := os.Readlink(p)
			if err != nil {
				return err
			}
			return os.Symlink(link, target)
		case info.Mode().IsRegular():
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			if err := os.WriteFile(target, b, info.Mode().Perm()); err != nil {
				return err
			}
		default:
			return nil
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			if err := os.Lchown(target, int(st.Uid), int(st.Gid)); err != nil {
				return err
			}
		}
		return os.Chmod(target, info.Mode()&(fs.ModePerm|fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky)) // past the umask
	})
}

// switchRoot moves the mounts into the new root, frees the memory of the initramfs
// and becomes the new root's init (kernel documentation, ramfs-rootfs-initramfs).
func switchRoot() error {
	for _, dir := range []string{"dev", "proc", "sys", "run"} {
		if err := unix.Mount("/"+dir, filepath.Join(sysroot, dir), "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("moving /%s into the new root: %w", dir, err)
		}
	}
	initramfs, err := os.Open("/")
	if err != nil {
		return err
	}
	if err := unix.Chdir(sysroot); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("moving the new root to /: %w", err)
	}
	removeTree(int(initramfs.Fd()), initramfs)
	if err := unix.Chroot("."); err != nil {
		return err
	}
	if err := unix.Chdir("/"); err != nil {
		return err
	}
	return unix.Exec("/sbin/init", []string{"/sbin/init"}, []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "HOME=/", "TERM=linux"})
}

// removeTree deletes what is left of the initramfs: its memory is gone otherwise
// for as long as the box runs. It stays on the file system it began on.
func removeTree(fd int, dir *os.File) {
	var self unix.Stat_t
	if unix.Fstat(fd, &self) != nil {
		return
	}
	names, _ := dir.Readdirnames(-1)
	for _, name := range names {
		var st unix.Stat_t
		if unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil || st.Dev != self.Dev {
			continue
		}
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			sub, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
			if err == nil {
				f := os.NewFile(uintptr(sub), name)
				removeTree(sub, f)
				f.Close()
			}
			_ = unix.Unlinkat(fd, name, unix.AT_REMOVEDIR)
			continue
		}
		_ = unix.Unlinkat(fd, name, 0)
	}
}
