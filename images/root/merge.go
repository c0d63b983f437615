package root

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const dpkgStatus = "var/lib/dpkg/status"

// merge joins the installed root and the packages that are only unpacked into one
// tar, tells the dpkg status about them, and has depmod index the kernel modules,
// which the kernel package would do when it is installed.
func (r *Resolved) merge(ctx context.Context, work, out, installed string, debs map[string]string) error {
	tree, closer, err := openTar(installed)
	if err != nil {
		return err
	}
	defer closer.Close()
	if err := r.checkStatus(tree); err != nil {
		return err
	}
	// etc/apt holds the address of the mirror, which is no input of the base.
	for _, dir := range []string{"var/cache/apt/archives", "var/lib/apt/lists", "etc/apt"} {
		tree.Remove(dir)
	}
	// Host keys and the like, made by maintainer scripts: nobody needs them, and
	// without them the base itself is the same on every machine.
	for _, name := range tree.Paths() {
		if refusePrivate(name) != nil {
			tree.Remove(name)
		}
	}
	status, err := readFile(tree, dpkgStatus)
	if err != nil {
		return err
	}
	for _, p := range r.Packages {
		if !p.Unpacked {
			continue
		}
		r.Source.Progress.say("unpack", "unpacking "+p.Name)
		closer, err := r.unpack(ctx, tree, filepath.Join(work, p.Name+".tar"), debs[p.Name])
		if err != nil {
			return fmt.Errorf("unpacking %s: %w", p.Name, err)
		}
		defer closer()
		status = append(status, statusStanza(p)...)
	}
	if err := tree.Add(File(dpkgStatus, 0o644, status)); err != nil {
		return err
	}
	if version, err := KernelVersion(tree); err == nil {
		r.Source.Progress.say("unpack", "indexing the modules of kernel "+version)
		if err := depmod(ctx, r.Source.Runner, tree, version, work); err != nil {
			return err
		}
	} else if r.Source.Packages.Kernel != "" {
		return err
	}
	r.Source.Progress.say("unpack", "writing the base")
	return writeTarFile(tree, out, r.Source)
}

func writeTarFile(tree *Tree, name string, s Source) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	err = tree.WriteTar(w, s.Epoch)
	return errors.Join(err, w.Flush(), f.Close())
}

// unpack adds the files of a .deb to the tree, through a tar that must stay until
// the closer is called. Documentation goes the way of dpkgOptions.
func (r *Resolved) unpack(ctx context.Context, tree *Tree, tar, deb string) (func() error, error) {
	f, err := os.Create(tar)
	if err != nil {
		return nil, err
	}
	err = r.Source.Runner.Run(ctx, Command{Name: "dpkg-deb", Args: []string{"--fsys-tarfile", deb}, Stdout: f})
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	data, closer, err := openTar(tar)
	if err != nil {
		return nil, err
	}
	for e := range data.All() {
		if excluded(e.Path) {
			continue
		}
		if err := tree.Add(*e); err != nil {
			return nil, errors.Join(err, closer.Close())
		}
	}
	return closer.Close, nil
}

// excluded applies dpkgOptions to what dpkg does not install.
func excluded(name string) bool {
	drop := false
	for _, option := range dpkgOptions {
		verb, pattern, _ := strings.Cut(option, "=/")
		dir, base, _ := strings.Cut(pattern, "*")
		if strings.HasPrefix(name, dir) && strings.HasSuffix(name, base) {
			drop = verb == "path-exclude"
		}
	}
	return drop
}

// statusStanza is a package's entry in the dpkg status: its control fields, with
// the truth about its state. The fields about the .deb do not belong there
// (deb-control(5)).
func statusStanza(p Package) string {
	var out strings.Builder
	out.WriteString("\n")
	skip := false
	for line := range strings.Lines(p.stanza + "\n") {
		key, _, _ := strings.Cut(line, ":")
		if line[0] != ' ' && line[0] != '\t' {
			skip = slices.Contains([]string{"Filename", "Size", "MD5sum", "SHA1", "SHA256", "Description-md5", "Tag"}, key)
		}
		if skip {
			continue
		}
		out.WriteString(line)
		if key == "Package" {
			out.WriteString("Status: install ok unpacked\n")
		}
	}
	return out.String()
}

// checkStatus compares what dpkg installed with what was resolved: the lock must
// never list something that is not in the image.
func (r *Resolved) checkStatus(tree *Tree) error {
	data, err := readFile(tree, dpkgStatus)
	if err != nil {
		return err
	}
	installed := map[string]string{}
	for _, fields := range parseControl(data) {
		if strings.HasSuffix(fields["status"], " installed") {
			installed[fields["package"]] = fields["version"]
		} else {
			return fmt.Errorf("package %s was left in the state %q", fields["package"], fields["status"])
		}
	}
	var wrong []string
	for _, p := range r.Packages {
		if p.Unpacked {
			continue
		}
		if got := installed[p.Name]; got != p.Version {
			wrong = append(wrong, fmt.Sprintf("%s: resolved %s, installed %q", p.Name, p.Version, got))
		}
		delete(installed, p.Name)
	}
	for name, version := range installed {
		wrong = append(wrong, fmt.Sprintf("%s: installed %s, not resolved", name, version))
	}
	if len(wrong) > 0 {
		slices.Sort(wrong)
		return fmt.Errorf("the installed packages are not those that were resolved: %s", strings.Join(wrong, "; "))
	}
	return nil
}

func readFile(t *Tree, name string) ([]byte, error) {
	e, ok := t.Get(name)
	if !ok {
		return nil, fmt.Errorf("%s is not in the root", name)
	}
	return e.ReadAll()
}
