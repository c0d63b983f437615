package main

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/stek-edge/stek/images/builder"
	"github.com/stek-edge/stek/images/root"
	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/hardware"
)

// aimBytes is what an image should have at most when it travels, bytes.
const aimBytes = 350e6

// Levels of zstd: its own default for what travels, and for the parts of a root that with
// which a root is packed, so that they can be compared.
const (
	travels = 3
	packed  = root.DefaultLevel
)

// part is something in an image, in bytes.
type part struct {
	name       string
	is         int64 // as it is
	compressed int64 // by itself
}

// sizes are what an image is made of.
type sizes struct {
	root  []part // what the root holds, by component, largest first
	files []part // the packed root, and everything that the firmware starts
	whole part
}

// benchSizes prints what an image is made of, and what it takes compressed as people
// download it.
func benchSizes(ctx context.Context, image, dir string) error {
	found, err := builder.Inspect(image)
	if err != nil {
		return err
	}
	f, err := os.Open(image)
	if err != nil {
		return err
	}
	defer f.Close()
	s := sizes{}
	for _, p := range found.Partitions {
		if p.Name != disk.RootA {
			continue
		}
		squashfs := func() io.Reader { return io.NewSectionReader(f, p.Start, p.Size) }
		if s.root, err = rootParts(ctx, squashfs(), dir); err != nil {
			return fmt.Errorf("reading the root of %s: %w", image, err)
		}
		if err := s.add("root, packed, with its hash tree", squashfs()); err != nil {
			return err
		}
	}
	for _, file := range found.Files {
		if !strings.EqualFold(path.Ext(file.Name), ".efi") {
			continue
		}
		content, err := builder.ReadFile(image, file.Name)
		if err != nil {
			return err
		}
		if err := s.add(file.Name, bytes.NewReader(content)); err != nil {
			return err
		}
	}
	if s.whole, err = measure("the whole image", f); err != nil {
		return err
	}
	return s.write(os.Stdout)
}

// add measures one file.
func (s *sizes) add(name string, r io.Reader) error {
	p, err := measure(name, r)
	s.files = append(s.files, p)
	return err
}

// write prints sizes, each with its share of the whole image as it travels.
func (s *sizes) write(w io.Writer) error {
	var b bytes.Buffer
	line := func(p part) {
		fmt.Fprintf(&b, "  %-34s %10s %12s %5.1f %%\n", p.name, hardware.Size(uint64(p.is)), hardware.Size(uint64(p.compressed)),
			100*float64(p.compressed)/float64(s.whole.compressed))
	}
	fmt.Fprintf(&b, "  %-34s %10s %12s %7s\n", "", "as it is", "compressed", "share")
	sum := part{name: "these parts of the root together"}
	for _, p := range s.root {
		line(p)
		sum.is, sum.compressed = sum.is+p.is, sum.compressed+p.compressed
	}
	line(sum)
	for _, p := range append(s.files, s.whole) {
		line(p)
	}
	fmt.Fprintf(&b, "  the aim for the whole is %s; the root's parts are compressed as hard as in it, the rest as zstd does by itself\n", hardware.Size(aimBytes))
	_, err := b.WriteTo(w)
	return err
}

// rootParts unpacks a root (squashfs) with the builder's own tools and measures what it
// holds. A copy of it lies in dir meanwhile.
func rootParts(ctx context.Context, squashfs io.Reader, dir string) ([]part, error) {
	f, err := os.CreateTemp(dir, "root-*.squashfs")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := io.Copy(f, squashfs); err != nil {
		return nil, err
	}
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, "sqfs2tar", "--no-xattr", f.Name())
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w; install squashfs-tools-ng", err)
	}
	parts, err := sumParts(out)
	_, _ = io.Copy(io.Discard, out) // it ends only when all is read
	if waited := cmd.Wait(); waited != nil {
		return nil, errors.Join(fmt.Errorf("sqfs2tar: %w: %s", waited, &said), err)
	}
	return parts, err
}

// sumParts sums up the files of an archive by component, each compressed by itself.
// Hard links count once.
func sumParts(archive io.Reader) ([]part, error) {
	open := map[string]*compressor{}
	for r := tar.NewReader(archive); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		name := root.PartOf(path.Clean(h.Name))
		if open[name] == nil {
			if open[name], err = newCompressor(packed); err != nil {
				return nil, err
			}
		}
		if _, err := io.Copy(open[name], r); err != nil {
			return nil, err
		}
	}
	var parts []part
	for name, c := range open {
		p, err := c.end(name)
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	slices.SortFunc(parts, func(a, b part) int {
		return cmp.Or(cmp.Compare(b.compressed, a.compressed), cmp.Compare(a.name, b.name))
	})
	return parts, nil
}

// measure compresses as what travels is.
func measure(name string, r io.Reader) (part, error) {
	c, err := newCompressor(travels)
	if err != nil {
		return part{}, err
	}
	if _, err := io.Copy(c, r); err != nil {
		return part{}, fmt.Errorf("compressing %s: %w", name, err)
	}
	return c.end(name)
}

// compressor counts what is written to it, before and after zstd.
type compressor struct {
	zstd    *zstd.Encoder
	in, out counter
}

func newCompressor(level int) (*compressor, error) {
	c := &compressor{}
	var err error
	c.zstd, err = zstd.NewWriter(&c.out, zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)))
	return c, err
}

func (c *compressor) Write(p []byte) (int, error) {
	n, err := c.zstd.Write(p)
	c.in += counter(n)
	return n, err
}

func (c *compressor) end(name string) (part, error) {
	err := c.zstd.Close()
	return part{name, int64(c.in), int64(c.out)}, err
}

// counter counts what is written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
