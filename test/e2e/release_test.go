//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stek-edge/stek/test/release"
	"github.com/stek-edge/stek/test/site"
	"github.com/stek-edge/stek/test/vm"
)

// TestFullRelease builds an image with a k3s release from a mirror whose line breaks,
// and installs a box from it. What the mirror has is made from the module build, in the
// form of a real release; see package release.
func TestFullRelease(t *testing.T) {
	ctx := t.Context()
	cache := cacheDir()
	published, err := release.Make(ctx, release.Options{Cache: cache, Dir: t.TempDir()})
	must(t, err)
	server := httptest.NewServer(published)
	defer server.Close()
	b := releaseBuild{cache: cache, url: server.URL + "/mirror", file: filepath.Join(t.TempDir(), "stek-amd64.img"), release: published}
	// What an earlier run downloaded would hide the line that breaks.
	must(t, os.RemoveAll(filepath.Join(cache, "k3s-release", release.Version)))

	t.Run("wrong digest", func(t *testing.T) {
		wrong := strings.Repeat("0", 64)
		out, err := b.run(ctx, "--k3s-sha256", wrong)
		if err == nil || !strings.Contains(out, "wrong digest") || !strings.Contains(out, published.SHA256[release.Binary]) {
			t.Errorf("the build ended with %v:\n%s", err, out)
		}
		if _, err := os.Stat(b.file); err == nil {
			t.Error("there is an image")
		}
	})
	t.Run("interrupted and resumed", func(t *testing.T) {
		published.CutAfter(release.Binary, 20<<20)
		short, cancel := context.WithCancel(ctx)
		defer cancel()
		go func() {
			// The program is killed once the line has broken for the first time.
			for short.Err() == nil && len(published.Ranges(release.Binary)) < 3 {
				time.Sleep(50 * time.Millisecond)
			}
			cancel()
		}()
		if out, err := b.run(short); err == nil {
			t.Fatalf("the build was not interrupted:\n%s", out)
		}
		before := len(published.Ranges(release.Binary))
		published.CutAfter(release.Binary, 0)
		out, err := b.run(ctx)
		if err != nil {
			t.Fatalf("the second build: %v\n%s", err, out)
		}
		if asked := published.Ranges(release.Binary)[before:]; len(asked) != 1 || !strings.HasPrefix(asked[0], "bytes=") || asked[0] == "bytes=0-" {
			t.Errorf("the second build asked for %q, not for the rest", asked)
		}
	})
	t.Run("inspect", func(t *testing.T) {
		out, err := exec.CommandContext(ctx, stek, "image", "inspect", "--output", "json", b.file).Output()
		must(t, err)
		var found struct {
			K3s       string `json:"k3s"`
			K3sSource string `json:"k3s-source"`
		}
		must(t, json.Unmarshal(out, &found))
		if found.K3s != release.Version || found.K3sSource != "release" {
			t.Errorf("the image says %+v", found)
		}
		image, err := os.Open(b.file)
		must(t, err)
		defer image.Close()
		if host := strings.TrimPrefix(server.URL, "http://"); contains(t, image, host) {
			t.Errorf("the image names the mirror %s", host)
		}
	})
	if t.Failed() {
		return
	}

	// The archive of this release has no images for these; a real one has.
	s, err := site.New(context.WithoutCancel(ctx), site.Options{Stek: stek, Image: b.file, Dir: t.TempDir(), K3s: "disable: [metrics-server, servicelb, traefik]"})
	must(t, err)
	box := powerOn(t, s, s.Machine)
	phase(t, "installed", func() (vm.Match, error) { return box.WaitInstalled(ctx) })
	if text := box.Console.Text(); !strings.Contains(text, "installer (k3s "+release.Version+")") {
		t.Error("the installer does not name the release")
	}
	phase(t, "disk opened", func() (vm.Match, error) { return box.WaitOpened(ctx) })
	phase(t, "Ready", func() (vm.Match, error) { return box.WaitReady(ctx) })
	must(t, box.LogIn(ctx))
	if status := box.run(t, "stek node status"); strings.Contains(status, "not for production") || !strings.Contains(status, release.Version) {
		t.Errorf("the node says of its k3s:\n%s", status)
	}
	if where := box.run(t, "readlink /proc/$(pgrep -o -x containerd)/exe"); !strings.HasPrefix(where, "/var/lib/rancher/k3s/data/") {
		t.Errorf("containerd runs from %s, not from the release", where)
	}
	if unpinned := box.run(t, "/usr/libexec/k3s/ctr images list -q 'labels.\"io.cri-containerd.pinned\"==pinned' | grep -c docker.io/"); unpinned != "4" {
		t.Errorf("%s images are kept from being collected, want 4", unpinned)
	}
	must(t, box.PowerCut())
}

// releaseBuild is `stek image build --k3s release` with a mirror.
type releaseBuild struct {
	cache, url, file string
	release          *release.Release
}

func (b releaseBuild) run(ctx context.Context, more ...string) (string, error) {
	args := append([]string{"image", "build", "--k3s", "release", "--k3s-url", b.url, "--k3s-version", release.Version,
		"--k3s-sha256", b.release.SHA256[release.Binary], "--k3s-images-sha256", b.release.SHA256[release.Images],
		"--keys", filepath.Join(b.cache, "keys"), "--cache", b.cache, "--file", b.file}, more...)
	out, err := exec.CommandContext(ctx, stek, args...).CombinedOutput()
	return string(out), err
}

// contains looks for a text in all of a file.
func contains(t *testing.T, r io.Reader, text string) bool {
	t.Helper()
	buffer, kept := make([]byte, 1<<20), 0
	for {
		n, err := r.Read(buffer[kept:])
		if bytes.Contains(buffer[:kept+n], []byte(text)) {
			return true
		}
		if err == io.EOF {
			return false
		}
		must(t, err)
		have := kept + n
		kept = min(len(text)-1, have)
		copy(buffer, buffer[have-kept:have])
	}
}
