package k3s

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// largestManifest bounds the list of contents of an archive, bytes. That of a release
// has a few kilobytes.
const largestManifest = 1 << 20

// imageNames lists the container images in an archive as `docker save` writes it,
// packed with zstd, under the full names that containerd gives them. An archive of
// another form has none.
func imageNames(file string) ([]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := readImageNames(f)
	if err != nil {
		return nil, fmt.Errorf("reading the container images in %s: %w", file, err)
	}
	return names, nil
}

func readImageNames(packed io.Reader) ([]string, error) {
	// k3s packs its archives with a window of 32 MiB (zstd --long=25).
	z, err := zstd.NewReader(packed, zstd.WithDecoderMaxMemory(256<<20))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if strings.TrimPrefix(h.Name, "./") != "manifest.json" {
			continue
		}
		text, err := io.ReadAll(io.LimitReader(r, largestManifest+1))
		if err != nil {
			return nil, err
		}
		if len(text) > largestManifest {
			return nil, fmt.Errorf("its manifest.json has more than %d bytes", largestManifest)
		}
		var images []struct{ RepoTags []string }
		if err := json.Unmarshal(text, &images); err != nil {
			return nil, fmt.Errorf("its manifest.json: %w", err)
		}
		var names []string
		for _, i := range images {
			for _, tag := range i.RepoTags {
				name, err := fullName(tag)
				if err != nil {
					return nil, err
				}
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return slices.Compact(names), nil
	}
}

// fullName puts in the registry that containerd takes a name without one to mean, and
// refuses what could be no image, since names end up in a unit file.
func fullName(tag string) (string, error) {
	for _, c := range tag {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:", c) {
			return "", fmt.Errorf("%q is no name of an image", tag)
		}
	}
	first, _, path := strings.Cut(tag, "/")
	switch {
	case tag == "" || tag[0] == '-' || tag[0] == '/':
		return "", fmt.Errorf("%q is no name of an image", tag)
	case !path:
		return "docker.io/library/" + tag, nil
	case strings.ContainsAny(first, ".:") || first == "localhost":
		return tag, nil
	}
	return "docker.io/" + tag, nil
}
