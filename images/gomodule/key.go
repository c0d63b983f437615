package gomodule

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
)

// format is part of every key. It goes up when this package builds in another
// way, so that results of the old way are not used any more.
const format = "stek-gomodule 1"

// key names the result of building r: the digest of everything that decides its
// bytes. Each part is written with its length, so no two inputs run together.
func (b *Builder) key(ctx context.Context, r Recipe) (string, error) {
	h := sha256.New()
	add := func(parts ...string) {
		for _, p := range parts {
			fmt.Fprintf(h, "%d:%s\n", len(p), p)
		}
	}
	add(format, b.Arch, r.Toolchain)
	add(settings(r, b.Arch)...)
	add(linkerFlags(r))
	add(r.Tags...)
	for _, p := range r.Programs {
		add(p.Name, p.Package)
	}
	files := slices.Clone(r.Files)
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	for _, f := range files {
		add(f.Name, string(f.Data))
	}
	if r.CGO {
		// The C compiler and the C library end up in the program as well.
		id, err := b.compilerIdentity(ctx)
		if err != nil {
			return "", err
		}
		add(id)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// compilerIdentity describes the C compiler and the static C library that a CGO
// program is linked with.
func (b *Builder) compilerIdentity(ctx context.Context) (string, error) {
	version, err := b.capture(ctx, "", nil, cCompiler, "--version")
	if err != nil {
		return "", &ToolError{Tool: cCompiler, Remedy: "install gcc and the C library's development files (Debian: apt-get install gcc libc6-dev)", Err: err}
	}
	where, err := b.capture(ctx, "", nil, cCompiler, "-print-file-name=libc.a")
	if err != nil {
		return "", fmt.Errorf("looking for the static C library: %w", err)
	}
	libc, err := digestFile(strings.TrimSpace(where))
	if err != nil {
		return "", &ToolError{Tool: "libc.a", Remedy: "install the C library's development files (Debian: apt-get install libc6-dev)", Err: err}
	}
	return version + libc, nil
}

func digest(r io.Reader) (string, int64, error) {
	h := sha256.New()
	n, err := io.Copy(h, r)
	return hex.EncodeToString(h.Sum(nil)), n, err
}
