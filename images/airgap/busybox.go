package airgap

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/stek-edge/stek/images/component"
)

// applets are the names under which the helper image offers its busybox: what
// setup and teardown scripts of local-path-provisioner use, and what a person
// needs who looks into a volume.
var applets = strings.Fields(`
	sh ash [ awk basename cat chgrp chmod chown cp cut date dd df dirname du echo env expr false find grep gzip
	head hostname id kill ln ls md5sum mkdir mktemp mount mv nslookup ping printf ps pwd readlink realpath rm
	rmdir sed seq sha256sum sleep sort stat sync tail tar tee test touch tr true umount uname uniq vi wc wget
	which xargs`)

const busyboxPackage = "busybox-static"

// Runner runs a command in a folder and returns what it printed. ExecRunner is
// the real one.
type Runner func(ctx context.Context, dir, name string, args ...string) ([]byte, error)

// ExecRunner runs commands of this machine.
func ExecRunner(ctx context.Context, dir, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(complaint.String()))
	}
	return out, nil
}

// DebianBusybox gets busybox-static from this machine's package archive, whose
// signature apt checks. version pins it; empty means the one apt would install.
// What was fetched once is used again while its digest is the archive's.
func DebianBusybox(ctx context.Context, cache, arch, version string, run Runner) (Program, error) {
	want := busyboxPackage + ":" + arch
	if version != "" {
		want += "=" + version
	}
	about, err := run(ctx, "", "apt-cache", "show", "--no-all-versions", want)
	if err != nil {
		return Program{}, fmt.Errorf("looking for %s in the package archive (on a machine of another architecture: dpkg --add-architecture %s && apt-get update): %w", want, arch, err)
	}
	found, err := parseStanza(about)
	if err != nil {
		return Program{}, fmt.Errorf("looking for %s in the package archive: %w", want, err)
	}
	dir := filepath.Join(cache, "debian", found.sha256)
	program := filepath.Join(dir, "busybox")
	if _, err := os.Stat(program); err != nil {
		if err := fetchBusybox(ctx, dir, want, found, run); err != nil {
			return Program{}, fmt.Errorf("getting %s: %w", want, err)
		}
	}
	data, err := os.ReadFile(program)
	if err != nil {
		return Program{}, err
	}
	sum := sha256.Sum256(data)
	return Program{Path: program, Component: component.Component{
		Name: "busybox", Version: found.version, SHA256: hex.EncodeToString(sum[:]), Source: component.Debian,
		Origin: busyboxPackage + "_" + found.version + "_" + arch, Production: true,
	}}, nil
}

type stanza struct{ version, sha256 string }

// parseStanza reads the two fields that matter from apt's description of one
// package version (deb822: "Field: value" lines, continued by leading blanks).
func parseStanza(text []byte) (stanza, error) {
	var s stanza
	for _, line := range strings.Split(string(text), "\n") {
		if line == "" && s.version != "" {
			break
		}
		field, value, ok := strings.Cut(line, ": ")
		if !ok {
			continue
		}
		switch value = strings.TrimSpace(value); field {
		case "Version":
			s.version = value
		case "SHA256":
			s.sha256 = value
		}
	}
	if raw, err := hex.DecodeString(s.sha256); s.version == "" || err != nil || len(raw) != sha256.Size {
		return stanza{}, errors.New("apt names no version with a SHA-256; run apt-get update")
	}
	return s, nil
}

// fetchBusybox downloads the package and takes the program out of it.
func fetchBusybox(ctx context.Context, dir, want string, found stanza, run Runner) error {
	work, err := os.MkdirTemp("", "stek-busybox-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	// apt drops its rights for the download and must be able to write here.
	if err := os.Chmod(work, 0o777); err != nil {
		return err
	}
	if _, err := run(ctx, work, "apt-get", "download", "--quiet", want); err != nil {
		return err
	}
	packages, err := filepath.Glob(filepath.Join(work, busyboxPackage+"_*.deb"))
	if err != nil || len(packages) != 1 {
		return fmt.Errorf("apt-get left %d packages, not 1", len(packages))
	}
	data, err := os.ReadFile(packages[0])
	if err != nil {
		return err
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != found.sha256 {
		return fmt.Errorf("the package's SHA-256 is %x, the archive says %s; run apt-get update", sum, found.sha256)
	}
	content, err := run(ctx, "", "dpkg-deb", "--fsys-tarfile", packages[0])
	if err != nil {
		return err
	}
	program, err := fromTar(content)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	tmp := filepath.Join(dir, ".busybox")
	if err := os.WriteFile(tmp, program, 0o755); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(dir, "busybox"))
}

// fromTar finds the program: in /bin, or in /usr/bin since Debian 13.
func fromTar(content []byte) ([]byte, error) {
	for r := tar.NewReader(bytes.NewReader(content)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return nil, errors.New("the package holds no busybox")
		}
		if err != nil {
			return nil, err
		}
		name := strings.TrimPrefix(h.Name, "./")
		if h.Typeflag == tar.TypeReg && (name == "bin/busybox" || name == "usr/bin/busybox") {
			return io.ReadAll(r)
		}
	}
}
