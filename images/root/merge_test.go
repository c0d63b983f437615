package root

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const installedStatus = `Package: bash
Status: install ok installed
Version: 5.2

`

// mkDeb builds a real package with the files given.
func mkDeb(t *testing.T, name, version string, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	files["DEBIAN/control"] = "Package: " + name + "\nVersion: " + version + "\nArchitecture: amd64\nMaintainer: a <a@b.example>\nDescription: test\n"
	for file, text := range files {
		to := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "DEBIAN"), 0o755); err != nil { // dpkg-deb is strict, whatever the umask
		t.Fatal(err)
	}
	deb := filepath.Join(t.TempDir(), name+".deb")
	if out, err := exec.Command("dpkg-deb", "--root-owner-group", "--build", dir, deb).CombinedOutput(); err != nil {
		t.Fatalf("dpkg-deb: %v: %s", err, out)
	}
	return deb
}

func TestMerge(t *testing.T) {
	kernel := mkTree(t)
	mkKernel(t, kernel)
	files := map[string]string{
		"usr/share/doc/linux/copyright": "GPL", "usr/share/doc/linux/changelog.gz": "x", "boot/vmlinuz-" + testKernel: "kernel",
	}
	for e := range kernel.All() {
		if strings.HasSuffix(e.Path, ".ko.xz") || strings.HasSuffix(e.Path, "modules.order") {
			data, err := e.ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			files[strings.TrimPrefix(e.Path, "usr/")] = string(data) // lib/, as before merged /usr
		}
	}
	deb := mkDeb(t, "linux-image-6.1.0-test", "6.1-1", files)

	work := t.TempDir()
	installed := mkTree(t, Dir("usr/lib", 0o755), Link("lib", "usr/lib"), File(dpkgStatus, 0o644, []byte(installedStatus)),
		File("etc/ssh/ssh_host_rsa_key", 0o600, []byte("secret")), File("etc/.resolv.conf.systemd-resolved.bak", 0o644, []byte("nameserver")),
		File("var/lib/apt/lists/big", 0o644, []byte("big")),
		File("etc/apt/sources.list", 0o644, []byte("deb http://mirror.example/debian trixie main\n")))
	in, out := filepath.Join(work, "in.tar"), filepath.Join(work, "out.tar")
	r := resolved(t)
	r.Source.Runner = Exec{}
	r.Source.Packages.Kernel = "linux-image-amd64"
	if err := writeTarFile(installed, in, r.Source); err != nil {
		t.Fatal(err)
	}
	if err := r.merge(t.Context(), work, out, in, map[string]string{"linux-image-6.1.0-test": deb}); err != nil {
		t.Fatal(err)
	}
	base, closer, err := (&Base{TarPath: out}).Open()
	if err != nil {
		t.Fatal(err)
	}
	defer closer.Close()
	for name, want := range map[string]bool{
		"usr/lib/modules/" + testKernel + "/kernel/drivers/net/veth.ko.xz": true,
		"usr/lib/modules/" + testKernel + "/modules.dep":                   true,
		"boot/vmlinuz-" + testKernel:                                       true,
		"usr/share/doc/linux/copyright":                                    true,
		"usr/share/doc/linux/changelog.gz":                                 false,
		"etc/ssh/ssh_host_rsa_key":                                         false,
		"etc/.resolv.conf.systemd-resolved.bak":                            false,
		"var/lib/apt/lists/big":                                            false,
		"etc/apt/sources.list":                                             false,
	} {
		if _, ok := base.Get(name); ok != want {
			t.Errorf("%s: in the base is %v, want %v", name, ok, want)
		}
	}
	status, err := readFile(base, dpkgStatus)
	if err != nil {
		t.Fatal(err)
	}
	want := installedStatus + `
Package: linux-image-6.1.0-test
Status: install ok unpacked
Version: 1:6.1-1
Architecture: amd64
Depends: kmod
Description: a kernel
 with a longer text
`
	if string(status) != want {
		t.Errorf("dpkg status is\n%s\nwant\n%s", status, want)
	}
}

func TestCheckStatusComparesWithTheLock(t *testing.T) {
	for name, c := range map[string]struct{ status, want string }{
		"as resolved":       {installedStatus, ""},
		"another version":   {strings.Replace(installedStatus, "5.2", "5.3", 1), `bash: resolved 5.2, installed "5.3"`},
		"one more":          {installedStatus + "Package: zsh\nStatus: install ok installed\nVersion: 1\n", "zsh: installed 1, not resolved"},
		"one left half-way": {strings.Replace(installedStatus, "ok installed", "ok half-configured", 1), "half-configured"},
		"none":              {"", `bash: resolved 5.2, installed ""`},
	} {
		t.Run(name, func(t *testing.T) {
			err := resolved(t).checkStatus(mkTree(t, File(dpkgStatus, 0o644, []byte(c.status))))
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error is %v, want %q", err, c.want)
			}
		})
	}
}

func TestExecFixesTheEnvironment(t *testing.T) {
	t.Setenv("LC_ALL", "de_DE.UTF-8")
	t.Setenv("TZ", "Asia/Tokyo")
	t.Setenv("APT_CONFIG", "/somewhere")
	out, err := output(t.Context(), Exec{}, Command{Name: "sh", Args: []string{"-c", "umask; echo $LC_ALL $TZ $APT_CONFIG"}})
	if err != nil || string(out) != "0022\nC.UTF-8 UTC\n" {
		t.Errorf("a tool sees %q, %v", out, err)
	}
	err = Exec{}.Run(t.Context(), Command{Name: "sh", Args: []string{"-c", "echo why >&2; exit 3"}})
	if err == nil || !strings.Contains(err.Error(), "why") {
		t.Errorf("error is %v, want one with what the tool said", err)
	}
	err = Exec{}.Run(t.Context(), Command{Name: "no-such-tool"})
	if err == nil || !strings.Contains(err.Error(), "not installed") {
		t.Errorf("error is %v, want one about a missing tool", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (Exec{}).Run(ctx, Command{Name: "sleep", Args: []string{"60"}}); err != context.Canceled {
		t.Errorf("error is %v, want that of the context", err)
	}
}
