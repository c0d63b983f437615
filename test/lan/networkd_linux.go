package lan

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Networkd is the machine's systemd-networkd, at work in the box.
type Networkd struct {
	t   testing.TB
	cmd *exec.Cmd
	log lockedBuffer
}

const networkdProgram = "/usr/lib/systemd/systemd-networkd"

// StartNetworkd runs systemd-networkd in the box. Its folder /etc/systemd/network is
// empty and the box's own.
func StartNetworkd(t testing.TB) *Networkd {
	t.Helper()
	must(t, unix.Mount("tmpfs", "/etc/systemd/network", "tmpfs", 0, "mode=0755"))
	t.Cleanup(func() { _ = unix.Unmount("/etc/systemd/network", unix.MNT_DETACH) })
	owner, err := user.Lookup("systemd-network")
	must(t, err)
	uid, err := strconv.Atoi(owner.Uid)
	must(t, err)
	gid, err := strconv.Atoi(owner.Gid)
	must(t, err)
	must(t, os.MkdirAll("/run/systemd", 0o755))
	must(t, os.RemoveAll("/run/systemd/netif"))
	for _, d := range []string{"/run/systemd/netif", "/run/systemd/netif/links", "/run/systemd/netif/leases", "/run/systemd/netif/lldp"} {
		must(t, os.Mkdir(d, 0o755))
		must(t, os.Chown(d, uid, gid))
	}
	n := &Networkd{t: t}
	t.Cleanup(func() {
		n.Stop()
		if t.Failed() {
			t.Logf("systemd-networkd:\n%s", n.log.String())
		}
	})
	must(t, n.Restart())
	return n
}

// Restart stops it, and starts it on the files of the moment.
func (n *Networkd) Restart() error {
	n.Stop()
	return n.Start()
}

// Start starts it on the files of the moment.
func (n *Networkd) Start() error {
	n.cmd = exec.Command(networkdProgram)
	n.cmd.Env = []string{"SYSTEMD_LOG_TARGET=console", "SYSTEMD_LOG_LEVEL=info", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	n.cmd.Stdout, n.cmd.Stderr = &n.log, &n.log
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := n.cmd.Start(); err != nil {
		return fmt.Errorf("starting systemd-networkd: %w", err)
	}
	return nil
}

// Stop ends it, if it runs. What it has set stays.
func (n *Networkd) Stop() {
	if n.cmd == nil {
		return
	}
	_ = n.cmd.Process.Signal(syscall.SIGTERM)
	_ = n.cmd.Wait()
	n.cmd = nil
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
