package airgap

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stek-edge/stek/images/gomodule"
)

// TestRecipes: every recipe can be read, and the version that the lock will show is
// in it.
func TestRecipes(t *testing.T) {
	for _, p := range plans {
		if p.name == HelperName {
			continue
		}
		text, err := recipes.ReadFile("recipes/" + p.short + ".txtar")
		if err != nil {
			t.Error(err)
			continue
		}
		r, err := gomodule.Parse(p.short, text)
		if err != nil || len(r.Programs) != 1 || r.CGO {
			t.Errorf("%s: %+v, %v", p.short, r.Programs, err)
		}
		if p.module != "" && r.Module(p.module) == "" {
			t.Errorf("%s does not require %s", p.short, p.module)
		}
	}
}

// TestCorefilePlugins: the coredns that is built has the plugins that the Corefile
// in k3s' manifests/coredns.yaml names.
func TestCorefilePlugins(t *testing.T) {
	text, err := recipes.ReadFile("recipes/coredns.txtar")
	if err != nil {
		t.Fatal(err)
	}
	// prometheus is the plugin of package metrics.
	for _, p := range strings.Fields("errors health ready kubernetes hosts metrics forward cache loop reload loadbalance") {
		if !strings.Contains(string(text), `"github.com/coredns/coredns/plugin/`+p+`"`) {
			t.Errorf("plugin %s is missing", p)
		}
	}
}

// own builds the two programs whose sources are in this repository.
func own(t *testing.T) map[string]string {
	t.Helper()
	programs := map[string]string{}
	for _, p := range plans {
		if p.name != PauseName && p.name != ProbeName {
			continue
		}
		program, err := p.program(t.Context(), Options{Arch: runtime.GOARCH, Cache: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		programs[p.short] = program.Path
	}
	return programs
}

func TestOwnPrograms(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Fatal("the images are for Linux, and so is this test")
	}
	programs := own(t)
	t.Run("pause ends when told to", func(t *testing.T) {
		cmd := exec.Command(programs["pause"])
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		// It has to be asked again until it listens to signals.
		for range 100 {
			_ = cmd.Process.Signal(syscall.SIGCHLD)
			select {
			case err := <-ended:
				t.Fatalf("ended by itself: %v", err)
			case <-time.After(5 * time.Millisecond):
			}
		}
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			t.Error("still there")
		}
	})
	t.Run("probe writes and reads", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "f")
		for _, c := range []struct {
			args []string
			want string
			fail bool
		}{
			{[]string{"write", file, "text"}, "", false},
			{[]string{"cat", file}, "text\n", false},
			{[]string{"cat", file + ".none"}, "", true},
			{[]string{"write", "/proc/none/f", "text"}, "", true},
			{nil, "", true},
		} {
			out, err := exec.Command(programs["probe"], c.args...).Output()
			if string(out) != c.want || (err != nil) != c.fail {
				t.Errorf("probe %q printed %q, %v", c.args, out, err)
			}
		}
	})
	t.Run("probe serves", func(t *testing.T) { serve(t, programs["probe"]) })
}

func serve(t *testing.T, program string) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "serve", address, t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ask := func(method, path, body string) (int, string) {
		for {
			req, _ := http.NewRequestWithContext(ctx, method, "http://"+address+path, strings.NewReader(body))
			resp, err := http.DefaultClient.Do(req)
			if errors.Is(err, syscall.ECONNREFUSED) && ctx.Err() == nil {
				time.Sleep(20 * time.Millisecond)
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			text, _ := io.ReadAll(resp.Body)
			return resp.StatusCode, string(text)
		}
	}
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/", "", 200, "ok\n"},
		{"PUT", "/f", "new", 204, ""},
		{"GET", "/f", "", 200, "new"},
		{"GET", "/none", "", 404, "404 page not found\n"},
		{"PUT", "/..%2Ff", "new", 400, "a plain file name is needed\n"},
	} {
		if status, text := ask(c.method, c.path, c.body); status != c.status || text != c.want {
			t.Errorf("%s %s: %d %q", c.method, c.path, status, text)
		}
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("told to stop, it ended with %v", err)
	}
}

func TestBuildWithoutBusybox(t *testing.T) {
	_, err := Build(t.Context(), Options{Arch: "amd64", Cache: t.TempDir(), Without: []string{PauseName, CoreDNSName, ProvisionerName, ProbeName}})
	if !errors.Is(err, ErrNoBusybox) {
		t.Errorf("got %v", err)
	}
	if _, err := Build(t.Context(), Options{Arch: "s390x"}); err == nil {
		t.Error("another architecture: no error")
	}
}

// archive plays a package archive that holds one package.
type archive struct {
	deb, tar []byte
	sum      string
	calls    []string
}

func newArchive(path string) *archive {
	var content bytes.Buffer
	w := tar.NewWriter(&content)
	_ = w.WriteHeader(&tar.Header{Name: "./usr/share/doc/busybox", Typeflag: tar.TypeReg, Size: 3})
	_, _ = w.Write([]byte("doc"))
	_ = w.WriteHeader(&tar.Header{Name: path, Typeflag: tar.TypeReg, Size: 7, Mode: 0o755})
	_, _ = w.Write([]byte("program"))
	_ = w.Close()
	a := &archive{deb: []byte("a package"), tar: content.Bytes()}
	a.sum = fmt.Sprintf("%x", sha256.Sum256(a.deb))
	return a
}

func (a *archive) run(_ context.Context, dir, name string, args ...string) ([]byte, error) {
	a.calls = append(a.calls, name+" "+strings.Join(args, " "))
	switch name {
	case "apt-cache":
		return fmt.Appendf(nil, "Package: busybox-static\nVersion: 1:1.37.0-6\nDescription: x\n y: z\nSHA256: %s\n\nPackage: busybox-static\nVersion: 1\n", a.sum), nil
	case "apt-get":
		return nil, os.WriteFile(filepath.Join(dir, "busybox-static_1%3a1.37.0-6_amd64.deb"), a.deb, 0o644)
	default:
		return a.tar, nil
	}
}

func TestDebianBusybox(t *testing.T) {
	for _, path := range []string{"./bin/busybox", "./usr/bin/busybox"} {
		a := newArchive(path)
		cache := t.TempDir()
		got, err := DebianBusybox(t.Context(), cache, "amd64", "", a.run)
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(got.Path)
		if err != nil || string(data) != "program" || got.Component.Version != "1:1.37.0-6" || got.Component.SHA256 != fmt.Sprintf("%x", sha256.Sum256(data)) {
			t.Errorf("got %+v, %q, %v", got, data, err)
		}
		before := len(a.calls)
		if _, err := DebianBusybox(t.Context(), cache, "amd64", "1:1.37.0-6", a.run); err != nil || len(a.calls) != before+1 {
			t.Errorf("fetched twice: %q, %v", a.calls, err)
		}
		if last := a.calls[before]; last != "apt-cache show --no-all-versions busybox-static:amd64=1:1.37.0-6" {
			t.Errorf("asked %q", last)
		}
	}
}

func TestDebianBusyboxErrors(t *testing.T) {
	t.Run("another package came", func(t *testing.T) {
		a := newArchive("./bin/busybox")
		a.deb = []byte("changed on the way")
		if _, err := DebianBusybox(t.Context(), t.TempDir(), "amd64", "", a.run); err == nil || !strings.Contains(err.Error(), "apt-get update") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("no program in it", func(t *testing.T) {
		a := newArchive("./bin/other")
		if _, err := DebianBusybox(t.Context(), t.TempDir(), "amd64", "", a.run); err == nil {
			t.Error("no error")
		}
	})
	t.Run("archive does not know it", func(t *testing.T) {
		no := func(context.Context, string, string, ...string) ([]byte, error) {
			return nil, errors.New("no packages found")
		}
		if _, err := DebianBusybox(t.Context(), t.TempDir(), "arm64", "", no); err == nil || !strings.Contains(err.Error(), "--add-architecture arm64") {
			t.Errorf("got %v", err)
		}
	})
}

func FuzzParseStanza(f *testing.F) {
	f.Add([]byte("Package: busybox-static\nVersion: 1:1.37.0-6\nSHA256: " + strings.Repeat("0", 64) + "\n"))
	f.Add([]byte("Version: \nSHA256: zz"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := parseStanza(text)
		if err == nil && (s.version == "" || len(s.sha256) != 64 || strings.ContainsAny(s.sha256, "/.")) {
			t.Errorf("accepted %+v", s)
		}
	})
}
