//go:build linux && k3s

package k3s

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/installer/k3s"
)

// lower names the folder that the node's root is laid over.
const lower = "STEK_TEST_ROOT"

// inside names the folder of the sandbox to the test program when it is started
// again as the first process of the namespaces.
const inside = "STEK_TEST_SANDBOX"

func TestMain(m *testing.M) {
	if dir := os.Getenv(inside); dir != "" {
		runtime.LockOSThread()
		if err := node(dir); err != nil {
			fmt.Fprintln(os.Stderr, "sandbox:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// node is process 1: it makes the private root, the dummy interface and the
// control groups, starts k3s and collects the dead until it is killed.
func node(dir string) error {
	go func() {
		// Its other end is the test's; see sandbox.plug.
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	as, err := readSpec(dir)
	if err != nil {
		return err
	}
	if err := newRoot(dir); err != nil {
		return fmt.Errorf("making the root: %w", err)
	}
	if err := dummy(); err != nil {
		return fmt.Errorf("making the dummy interface: %w", err)
	}
	if as.Tunnel != nil {
		if err := as.Tunnel.up(); err != nil {
			return fmt.Errorf("making the tunnel: %w", err)
		}
	}
	if err := unix.Sethostname([]byte(as.Name)); err != nil {
		return err
	}
	log, err := os.OpenFile("/var/log/k3s.log", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	// The unit's environment, without what the test was started with.
	role := "server"
	if as.Agent {
		role = "agent"
	}
	server, err := os.StartProcess(k3s.BinaryPath, []string{k3s.BinaryPath, role}, &os.ProcAttr{
		Env:   []string{"PATH=/usr/libexec/cni:/usr/sbin:/usr/bin:/sbin:/bin"},
		Files: []*os.File{nil, log, log},
	})
	if err != nil {
		return err
	}
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return err
		case pid == server.Pid:
			return fmt.Errorf("k3s ended with %v", status)
		}
	}
}

// newRoot puts an overlay over the root and moves into it. What the
// node keeps lies on a real file system: overlays do not stack.
func newRoot(dir string) error {
	root, over := filepath.Join(dir, "root"), filepath.Join(dir, "over")
	steps := []mount{
		{"", "/", "", unix.MS_REC | unix.MS_PRIVATE, ""},
		{"tmpfs", over, "tmpfs", 0, "mode=0755"},
	}
	if err := all(steps); err != nil {
		return err
	}
	for _, d := range []string{"upper", "work"} {
		if err := os.Mkdir(filepath.Join(over, d), 0o755); err != nil {
			return err
		}
	}
	at := func(p string) string { return filepath.Join(root, p) }
	if err := all([]mount{{"overlay", root, "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", os.Getenv(lower), over, over)}}); err != nil {
		return err
	}
	for _, p := range []string{"/var/lib/rancher", "/var/lib/kubelet", "/var/lib/cni", "/var/log", "/etc/rancher", k3s.RootImagesDir, "/usr/libexec/cni"} {
		if err := os.MkdirAll(at(p), 0o755); err != nil {
			return err
		}
	}
	steps = []mount{
		{"proc", at("/proc"), "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
		{"sysfs", at("/sys"), "sysfs", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
		{"/dev", at("/dev"), "", unix.MS_BIND | unix.MS_REC, ""},
		{"tmpfs", at("/run"), "tmpfs", 0, "mode=0755"},
		{"tmpfs", at("/tmp"), "tmpfs", 0, "mode=1777"},
		{filepath.Join(dir, "files/usr/libexec/cni"), at("/usr/libexec/cni"), "", unix.MS_BIND, ""},
		{filepath.Join(dir, "files", k3s.RootImagesDir), at(k3s.RootImagesDir), "", unix.MS_BIND, ""},
	}
	for _, p := range []string{"rancher", "kubelet", "cni"} {
		steps = append(steps, mount{filepath.Join(dir, "state", p), at("/var/lib/" + p), "", unix.MS_BIND, ""})
	}
	steps = append(steps,
		mount{filepath.Join(dir, "state/log"), at("/var/log"), "", unix.MS_BIND, ""},
		mount{filepath.Join(dir, "state/etc-rancher"), at("/etc/rancher"), "", unix.MS_BIND, ""})
	if err := all(steps); err != nil {
		return err
	}
	if err := controlGroups(at("/sys/fs/cgroup")); err != nil {
		return fmt.Errorf("control groups: %w", err)
	}
	for _, name := range []string{k3s.BinaryPath, k3s.CtrPath, "/usr/bin/kubectl", "/usr/bin/crictl"} {
		if err := copyEntry(filepath.Join(dir, "files", name), at(name)); err != nil {
			return err
		}
	}
	old := at("/mnt")
	if err := unix.PivotRoot(root, old); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if err := unix.Unmount("/mnt", unix.MNT_DETACH); err != nil {
		return err
	}
	// Volumes that the kubelet mounts have to reach the containers.
	return unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, "")
}

type mount struct {
	source, target, kind string
	flags                uintptr
	data                 string
}

func all(steps []mount) error {
	for _, m := range steps {
		if err := os.MkdirAll(m.target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.source, m.target, m.kind, m.flags, m.data); err != nil {
			return fmt.Errorf("mounting %s on %s: %w", m.source, m.target, err)
		}
	}
	return nil
}

// copyEntry copies a link as a link and a file as a file.
func copyEntry(from, to string) error {
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if link, err := os.Readlink(from); err == nil {
		return os.Symlink(link, to)
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o755)
}

// controlGroups shows the node its own part of each hierarchy as the whole.
func controlGroups(at string) error {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) == 1 && strings.HasPrefix(lines[0], "0::") {
		if err := all([]mount{{"cgroup2", at, "cgroup2", 0, ""}}); err != nil {
			return err
		}
		// A group with processes cannot hand controllers on to its children.
		if err := os.Mkdir(filepath.Join(at, "init"), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := os.WriteFile(filepath.Join(at, "init/cgroup.procs"), []byte("0"), 0o644); err != nil {
			return err
		}
		controllers, err := os.ReadFile(filepath.Join(at, "cgroup.controllers"))
		if err != nil {
			return err
		}
		for _, c := range strings.Fields(string(controllers)) {
			if err := os.WriteFile(filepath.Join(at, "cgroup.subtree_control"), []byte("+"+c), 0o644); err != nil {
				return err
			}
		}
		return nil
	}
	steps := []mount{{"tmpfs", at, "tmpfs", 0, "mode=0755"}}
	for _, line := range lines {
		switch part := strings.SplitN(line, ":", 3); {
		case part[0] == "0":
		case strings.HasPrefix(part[1], "name="):
			steps = append(steps, mount{"cgroup", filepath.Join(at, strings.TrimPrefix(part[1], "name=")), "cgroup", 0, "none," + part[1]})
		default:
			steps = append(steps, mount{"cgroup", filepath.Join(at, part[1]), "cgroup", 0, part[1]})
		}
	}
	return all(steps)
}

// dummy does by hand what 10-stek0.netdev and 10-stek0.network say. A kernel
// without the dummy driver has veth: with both ends here it leads nowhere as well.
func dummy() error {
	if ip("link add "+k3s.Interface+" type dummy") != nil {
		if err := ip("link add " + k3s.Interface + " type veth peer name stek0-end"); err != nil {
			return err
		}
		if err := ip("link set stek0-end up"); err != nil {
			return err
		}
	}
	for _, line := range []string{
		"link set lo up",
		"addr add " + k3s.Address.String() + "/32 dev " + k3s.Interface,
		"addr add " + k3s.Resolver.String() + "/32 dev " + k3s.Interface,
		"link set " + k3s.Interface + " up",
		"route add default dev " + k3s.Interface + " scope link metric 65535",
	} {
		if err := ip(line); err != nil {
			return err
		}
	}
	return nil
}

func ip(line string) error {
	if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", line, err, out)
	}
	return nil
}
