//go:build linux && k3s

package k3s

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/images/component"
	"github.com/stek-edge/stek/installer/k3s"
)

// sandbox is one node in its namespaces. Its folder outlives a start, as a disk
// does.
type sandbox struct {
	t    *testing.T
	name string
	dir  string
	cmd  *exec.Cmd
	pid  int             // process 1, as this machine counts
	life context.Context // ends with the node; its cause says why
	plug *os.File        // the node ends when this is closed, so also with the test
}

// newSandbox lays out what the image and the private volume hold.
func newSandbox(t *testing.T, as spec, root []component.File, settings []k3s.File) *sandbox {
	t.Helper()
	s := &sandbox{t: t, name: as.Name, dir: t.TempDir()}
	for _, d := range []string{"root", "over", "files", "state/rancher", "state/kubelet", "state/cni", "state/log", "state/etc-rancher"} {
		must(t, os.MkdirAll(filepath.Join(s.dir, d), 0o755))
	}
	for _, f := range root {
		to := filepath.Join(s.dir, "files", f.Path)
		must(t, os.MkdirAll(filepath.Dir(to), 0o755))
		if f.Link != "" {
			must(t, os.Symlink(f.Link, to))
			continue
		}
		data, err := os.ReadFile(f.Host)
		must(t, err)
		must(t, os.WriteFile(to, data, f.Mode.Perm()))
	}
	for _, f := range settings {
		if f.Path == k3s.RolePath {
			as.Agent = true // the sandbox reads no units
			continue
		}
		rest, ok := strings.CutPrefix(f.Path, "/etc/rancher/")
		if !ok {
			t.Fatalf("%s is not in the sandbox", f.Path)
		}
		to := filepath.Join(s.dir, "state/etc-rancher", rest)
		must(t, os.MkdirAll(filepath.Dir(to), 0o755))
		must(t, os.WriteFile(to, f.Data, f.Mode))
	}
	must(t, as.write(s.dir))
	t.Cleanup(s.powerCut)
	return s
}

// start boots the node. The shell moves into new control groups before unshare
// makes them the top of a control group namespace.
func (s *sandbox) start() {
	s.t.Helper()
	groups := s.controlGroups()
	script := `for g in "$@"; do echo $$ > "$g/cgroup.procs" || exit 1; done
exec unshare --net --mount --pid --ipc --uts --cgroup --fork --kill-child=KILL --propagation private "$STEK_TEST_PROGRAM"`
	self, err := os.Executable()
	must(s.t, err)
	s.cmd = exec.Command("/bin/sh", append([]string{"-c", script, "sh"}, groups...)...)
	s.cmd.Env = append(os.Environ(), inside+"="+s.dir, lower+"="+*rootFlag, "STEK_TEST_PROGRAM="+self)
	hold, plug, err := os.Pipe()
	must(s.t, err)
	defer hold.Close()
	s.plug = plug
	var complaint bytes.Buffer
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = hold, &complaint, &complaint
	must(s.t, s.cmd.Start())
	life, end := context.WithCancelCause(context.Background())
	s.life = life
	go func() {
		err := s.cmd.Wait()
		end(fmt.Errorf("the node ended: %w: %s", err, complaint.String()))
	}()
	for deadline := time.Now().Add(30 * time.Second); s.pid == 0; time.Sleep(50 * time.Millisecond) {
		children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", s.cmd.Process.Pid, s.cmd.Process.Pid))
		if words := strings.Fields(string(children)); len(words) == 1 {
			s.pid, _ = strconv.Atoi(words[0])
		}
		if life.Err() != nil {
			s.t.Fatal(context.Cause(life))
		}
		if time.Now().After(deadline) {
			s.t.Fatal("the node did not start")
		}
	}
}

// powerCut ends every process of the node at once, as pulling the plug does, and
// removes what is left on this machine.
func (s *sandbox) powerCut() {
	if s.cmd == nil {
		return
	}
	// The kernel kills a process namespace with its first process.
	if s.pid != 0 {
		_ = unix.Kill(s.pid, unix.SIGKILL)
	}
	s.plug.Close()
	<-s.life.Done()
	s.cmd, s.pid = nil, 0
	for _, g := range s.groups() {
		removeGroup(s.t, g)
	}
}

// groups are the control groups of this sandbox, one for each hierarchy.
func (s *sandbox) groups() []string {
	text, err := os.ReadFile("/proc/self/cgroup")
	must(s.t, err)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	var groups []string
	for _, line := range lines {
		part := strings.SplitN(line, ":", 3)
		top := filepath.Join("/sys/fs/cgroup", strings.TrimPrefix(part[1], "name="))
		if part[0] == "0" && len(lines) > 1 {
			continue // the new hierarchy beside the old ones holds no controllers
		}
		groups = append(groups, filepath.Join(top, part[2], "stek-test-"+filepath.Base(filepath.Dir(s.dir))+"-"+filepath.Base(s.dir)))
	}
	return groups
}

func (s *sandbox) controlGroups() []string {
	groups := s.groups()
	for _, g := range groups {
		must(s.t, os.MkdirAll(g, 0o755))
		// A new group of the old cpuset controller may use no processor.
		for _, f := range []string{"cpuset.cpus", "cpuset.mems"} {
			if all, err := os.ReadFile(filepath.Join(filepath.Dir(g), f)); err == nil && strings.Contains(g, "/cpuset/") {
				must(s.t, os.WriteFile(filepath.Join(g, f), all, 0o644))
			}
		}
	}
	return groups
}

// removeGroup removes a control group and its children; the kernel needs a moment
// until the last process is gone.
func removeGroup(t *testing.T, top string) {
	var err error
	for range 100 {
		var groups []string
		_ = filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				groups = append(groups, p)
			}
			return nil
		})
		slices.Reverse(groups)
		for _, g := range groups {
			err = os.Remove(g)
		}
		if _, statErr := os.Stat(top); errors.Is(statErr, fs.ErrNotExist) {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Errorf("the control group %s is still there: %v", top, err)
}

// run runs a command inside the node and returns what it printed.
func (s *sandbox) run(ctx context.Context, stdin string, args ...string) (string, error) {
	enter := []string{"-t", strconv.Itoa(s.pid), "--mount", "--net", "--pid", "--ipc", "--uts", "--cgroup", "--root", "--wd", "--"}
	cmd := exec.CommandContext(ctx, "nsenter", append(enter, args...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"}
	cmd.Stdin = strings.NewReader(stdin)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, complaint.String())
	}
	return out.String(), nil
}

func (s *sandbox) mustRun(ctx context.Context, stdin string, args ...string) string {
	s.t.Helper()
	out, err := s.run(ctx, stdin, args...)
	must(s.t, err)
	return out
}

// ready waits until the cluster is up, or the node has ended.
func (s *sandbox) ready(ctx context.Context, w k3s.Want) k3s.State {
	s.t.Helper()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.life, func() { cancel(context.Cause(s.life)) })()
	w = k3s.ThisStart(w, fmt.Sprintf("/proc/%d/root", s.pid))
	seen := map[string]bool{}
	start := time.Now()
	state, err := s.client(ctx).Wait(ctx, w, func(now k3s.State) {
		if !seen[now.Problem] {
			seen[now.Problem] = true
			s.t.Logf("%5.1f s %s", time.Since(start).Seconds(), now.Problem)
		}
	})
	if err != nil {
		s.t.Fatalf("%v\n%s", err, s.log(60))
	}
	return state
}

// client waits for the node's kubeconfig and connects inside the node's network.
func (s *sandbox) client(ctx context.Context) *k3s.Client {
	s.t.Helper()
	path := fmt.Sprintf("/proc/%d/root%s", s.pid, k3s.KubeconfigPath)
	for {
		c, err := k3s.Open(path)
		if err == nil {
			c.HTTP.Transport.(*http.Transport).DialContext = s.dial
			return c
		}
		select {
		case <-s.life.Done():
			s.t.Fatalf("%v\n%s", context.Cause(s.life), s.log(40))
		case <-ctx.Done():
			s.t.Fatalf("no credentials: %v\n%s", err, s.log(40))
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// dial opens a connection from inside the node's network namespace. The thread it
// does so on is given up, since a namespace belongs to a thread.
func (s *sandbox) dial(ctx context.Context, network, address string) (net.Conn, error) {
	type answer struct {
		conn net.Conn
		err  error
	}
	done := make(chan answer, 1)
	go func() {
		runtime.LockOSThread()
		ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", s.pid))
		if err == nil {
			defer ns.Close()
			err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
		}
		if err != nil {
			done <- answer{nil, err}
			return
		}
		// A plain address needs no second goroutine, which would be on another thread.
		conn, err := (&net.Dialer{FallbackDelay: -1}).DialContext(ctx, network, address)
		done <- answer{conn, err}
	}()
	a := <-done
	return a.conn, a.err
}

// log is the end of what k3s said.
func (s *sandbox) log(lines int) string {
	data, _ := os.ReadFile(filepath.Join(s.dir, "state/log/k3s.log"))
	all := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
