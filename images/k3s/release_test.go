package k3s

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stek-edge/stek/images/component"
	"github.com/stek-edge/stek/images/k3s/download"
)

const testVersion = "v1.34.1+k3s1"

// releases is a server with the layout of k3s' release page. Lines that break are
// the matter of package download.
func releases(t *testing.T) (base string, files map[string][]byte, asked *atomic.Int32) {
	files = map[string][]byte{}
	sums := map[string]string{"amd64": "", "arm64": ""}
	for name, arch := range map[string]string{
		"k3s": "amd64", "k3s-arm64": "arm64",
		"k3s-airgap-images-amd64.tar.zst": "amd64", "k3s-airgap-images-arm64.tar.zst": "arm64",
	} {
		files[name] = bytes.Repeat([]byte(name), 20000)
		if strings.HasSuffix(name, ".tar.zst") {
			files[name] = pack(t, map[string]string{"layer.tar": string(files[name]), "manifest.json": `[{"RepoTags":["rancher/mirrored-pause:3.6"]}]`})
		}
		sums[arch] += sum(files[name]) + "  " + name + "\n"
	}
	for arch, text := range sums {
		files["sha256sum-"+arch+".txt"] = []byte(text)
	}
	asked = new(atomic.Int32)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		name, ok := strings.CutPrefix(r.URL.EscapedPath(), "/k3s-io/k3s/releases/download/v1.34.1%2Bk3s1/")
		data := files[name]
		if !ok || data == nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("ETag", `"`+name+`"`)
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(data))
	}))
	t.Cleanup(server.Close)
	return server.URL + "/k3s-io/k3s/releases/download", files, asked
}

func sum(b []byte) string { s := sha256.Sum256(b); return hex.EncodeToString(s[:]) }

func TestRelease(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64"} {
		t.Run(arch, func(t *testing.T) {
			base, files, asked := releases(t)
			o := Options{Source: component.Release, Arch: arch, Cache: t.TempDir(), URL: base + "/"}
			pin, err := Published(t.Context(), o, testVersion)
			if err != nil {
				t.Fatal(err)
			}
			o.Pin = pin
			got, err := Add(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			binary := "k3s"
			if arch != "amd64" {
				binary = "k3s-" + arch
			}
			want := map[string][]byte{
				BinaryPath: files[binary],
				ImagesDir + "/k3s-airgap-images-" + arch + ".tar.zst": files["k3s-airgap-images-"+arch+".tar.zst"],
			}
			found := 0
			for _, f := range got.Files {
				if data, ok := want[f.Path]; ok {
					found++
					if is, err := os.ReadFile(f.Host); err != nil || !bytes.Equal(is, data) {
						t.Errorf("%s is not what was published: %v", f.Path, err)
					}
				}
			}
			if found != len(want) || !got.ImagesIncluded {
				t.Errorf("got %+v", got)
			}
			if fmt.Sprint(got.Images) != "[docker.io/rancher/mirrored-pause:3.6]" {
				t.Errorf("container images %q", got.Images)
			}
			for _, c := range got.Components {
				if strings.Contains(c.Origin, "127.0.0.1") {
					t.Errorf("the lock would name the server: %s", c.Origin)
				}
				if !c.Production || c.Label() != testVersion || c.Source != component.Release {
					t.Errorf("component %+v", c)
				}
			}
			before := asked.Load()
			if _, err := Add(t.Context(), o); err != nil || asked.Load() != before {
				t.Errorf("a second build asked the server again: %v", err)
			}
		})
	}
}

func TestReleaseErrors(t *testing.T) {
	base, files, _ := releases(t)
	good := Pin{Version: testVersion, Binary: sum(files["k3s"]), Images: sum(files["k3s-airgap-images-amd64.tar.zst"])}
	for _, c := range []struct {
		name  string
		bend  func(*Options)
		field string        // of a PinError
		kind  download.Kind // of a download.Error
	}{
		{"no version", func(o *Options) { o.Pin.Version = "" }, "version", ""},
		{"a channel, not a version", func(o *Options) { o.Pin.Version = "stable" }, "version", ""},
		{"a path", func(o *Options) { o.Pin.Version = "v1.34.1+k3s1/../x" }, "version", ""},
		{"no digest of the binary", func(o *Options) { o.Pin.Binary = "" }, "binary", ""},
		{"short digest", func(o *Options) { o.Pin.Images = "abcd" }, "images", ""},
		{"digest of another file", func(o *Options) { o.Pin.Images = o.Pin.Binary }, "", download.WrongDigest},
		{"version that is not there", func(o *Options) { o.Pin.Version = "v1.34.2+k3s1" }, "", download.NotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := Options{Source: component.Release, Arch: "amd64", Cache: t.TempDir(), URL: base, Pin: good}
			c.bend(&o)
			_, err := Add(t.Context(), o)
			var pin *PinError
			var down *download.Error
			switch {
			case c.field != "" && (!errors.As(err, &pin) || pin.Field != c.field || pin.Remedy == ""):
				t.Errorf("got %v", err)
			case c.kind != "" && (!errors.As(err, &down) || down.Kind != c.kind):
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("no address", func(t *testing.T) {
		o := Options{Source: component.Release, Arch: "amd64", Cache: t.TempDir(), URL: "releases", Pin: good}
		if _, err := Add(t.Context(), o); err == nil {
			t.Error("no error")
		}
	})
}

// TestNoFallback: what was not asked for is never used instead.
func TestNoFallback(t *testing.T) {
	for _, source := range []component.Source{"", component.Debian, "auto"} {
		if _, err := Add(t.Context(), Options{Source: source, Arch: "amd64", Cache: t.TempDir()}); err == nil {
			t.Errorf("source %q: no error", source)
		}
	}
	if _, err := Add(t.Context(), Options{Source: component.Module, Arch: "riscv64", Cache: t.TempDir()}); err == nil {
		t.Error("an architecture that cannot be had: no error")
	}
}

func TestLayout(t *testing.T) {
	r, err := layout("", testVersion, "arm64")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := r.base+r.binary, "https://github.com/k3s-io/k3s/releases/download/v1.34.1%2Bk3s1/k3s-arm64"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func FuzzParseSums(f *testing.F) {
	f.Add([]byte(sum(nil) + "  k3s\n" + sum([]byte("x")) + " *k3s-airgap-images-amd64.tar.zst\r\n"))
	f.Add([]byte("<html>not found</html>"))
	f.Add([]byte(sum(nil) + "  k3s\n" + sum([]byte("x")) + "  k3s\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		sums, err := parseSums(text)
		if err != nil {
			if !errors.Is(err, errSums) {
				t.Errorf("untyped error %v", err)
			}
			return
		}
		for name, digest := range sums {
			if name == "" || len(digest) != 64 {
				t.Errorf("%q has digest %q", name, digest)
			}
		}
	})
}
