package release

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/stek-edge/stek/images/component"
	"github.com/stek-edge/stek/images/gomodule"
	"github.com/stek-edge/stek/images/k3s"
)

// debianPrograms are taken from this machine: its packages containerd and runc.
var debianPrograms = []string{"/usr/bin/containerd", "/usr/bin/containerd-shim-runc-v2", "/usr/sbin/runc"}

// names are what k3s is called by in the packed folder (scripts/package-cli).
var names = []string{"crictl", "ctr", "kubectl", "k3s-agent", "k3s-server", "k3s-etcd-snapshot", "k3s-secrets-encrypt", "k3s-certificate", "k3s-completion"}

// makeBinary writes the self-extracting program.
func makeBinary(ctx context.Context, name string, files []component.File) error {
	programs := map[string]string{}
	for _, f := range files {
		if f.Host != "" && (f.Path == k3s.BinaryPath || path.Dir(f.Path) == k3s.CNIDir) {
			programs[path.Base(f.Path)] = f.Host
		}
	}
	for _, p := range debianPrograms {
		programs[path.Base(p)] = p
	}
	packed, err := packFolder(programs)
	if err != nil {
		return err
	}
	if err := frontEnd(ctx, name, packed); err != nil {
		return err
	}
	out, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer out.Close()
	if _, err := out.Write(packed); err != nil {
		return err
	}
	return out.Close()
}

// packFolder packs bin/ with its lists of digests and links, which the front end checks.
func packFolder(programs map[string]string) ([]byte, error) {
	var out bytes.Buffer
	z, err := zstd.NewWriter(&out)
	if err != nil {
		return nil, err
	}
	t := tar.NewWriter(z)
	add := func(h tar.Header, data []byte) error {
		h.Size = int64(len(data))
		if err := t.WriteHeader(&h); err != nil {
			return err
		}
		_, err := t.Write(data)
		return err
	}
	if err := add(tar.Header{Name: "bin/", Typeflag: tar.TypeDir, Mode: 0o755}, nil); err != nil {
		return nil, err
	}
	var sums, links bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(programs)) {
		data, err := os.ReadFile(programs[name])
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(data)
		fmt.Fprintf(&sums, "%s %s\n", hex.EncodeToString(sum[:]), name)
		if err := add(tar.Header{Name: "bin/" + name, Typeflag: tar.TypeReg, Mode: 0o755}, data); err != nil {
			return nil, err
		}
	}
	for _, name := range names {
		fmt.Fprintf(&links, "%s k3s\n", name)
		if err := add(tar.Header{Name: "bin/" + name, Typeflag: tar.TypeSymlink, Linkname: "k3s", Mode: 0o777}, nil); err != nil {
			return nil, err
		}
	}
	for name, list := range map[string][]byte{".sha256sums": sums.Bytes(), ".links": links.Bytes()} {
		if err := add(tar.Header{Name: "bin/" + name, Typeflag: tar.TypeReg, Mode: 0o644}, list); err != nil {
			return nil, err
		}
	}
	if err := t.Close(); err != nil {
		return nil, err
	}
	err = z.Close()
	return out.Bytes(), err
}

// assets replaces k3s' generated package data: the folder is not compiled in, it is
// what stands behind the program in its file.
const assets = `package data

import (
	"io"
	"os"
)

const size = SIZE

func AssetNames() []string { return []string{"DIGEST.tar.zst"} }

func Asset(string) ([]byte, error) {
	f, err := os.Open("/proc/self/exe")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := f.Seek(-size, io.SeekEnd); err != nil {
		return nil, err
	}
	return io.ReadAll(f)
}
`

// frontEnd compiles cmd/k3s of k3s' sources, with the module's own recipe.
func frontEnd(ctx context.Context, name string, packed []byte) error {
	recipe, err := moduleRecipe(ctx)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "stek-k3s-front-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	for _, f := range recipe.Files {
		if err := os.WriteFile(filepath.Join(work, f.Name), f.Data, 0o644); err != nil {
			return err
		}
	}
	env := append(os.Environ(), "GOTOOLCHAIN="+recipe.Toolchain, "GOFLAGS=-mod=mod", "GOWORK=off", "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	where, err := run(ctx, work, env, "list", "-f", "{{.Dir}}", "github.com/k3s-io/k3s/pkg/data")
	if err != nil {
		return err
	}
	sum := sha256.Sum256(packed)
	source := strings.NewReplacer("SIZE", fmt.Sprint(len(packed)), "DIGEST", hex.EncodeToString(sum[:])).Replace(assets)
	replaced := filepath.Join(work, "assets.go.txt")
	if err := os.WriteFile(replaced, []byte(source), 0o644); err != nil {
		return err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(strings.TrimSpace(where), "data.go"): replaced}})
	if err != nil {
		return err
	}
	list := filepath.Join(work, "overlay.json")
	if err := os.WriteFile(list, overlay, 0o644); err != nil {
		return err
	}
	_, err = run(ctx, work, env, "build", "-trimpath", "-overlay", list, "-tags", strings.Join(recipe.Tags, ","),
		"-ldflags", "-s -w -X "+strings.Join(recipe.Variables, " -X "), "-o", name, "github.com/k3s-io/k3s/cmd/k3s")
	return err
}

func moduleRecipe(ctx context.Context) (gomodule.Recipe, error) {
	dir, err := run(ctx, "", os.Environ(), "list", "-f", "{{.Dir}}", "github.com/stek-edge/stek/images/k3s")
	if err != nil {
		return gomodule.Recipe{}, err
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(dir), "recipes/k3s.txtar"))
	if err != nil {
		return gomodule.Recipe{}, err
	}
	return gomodule.Parse("k3s", text)
}

func run(ctx context.Context, dir string, env []string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = dir, env
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w: %s", args[0], err, complaint.String())
	}
	return string(out), nil
}
