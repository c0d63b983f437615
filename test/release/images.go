package release

import (
	"io"
	"os"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/klauspost/compress/zstd"

	"github.com/stek-edge/stek/images/airgap"
)

// joinImages makes one archive of several, under names as `docker save` writes them:
// without docker.io.
func joinImages(file string, images []airgap.Image) error {
	all := map[name.Reference]v1.Image{}
	for _, i := range images {
		tag, err := name.NewTag(strings.TrimPrefix(i.Name, "docker.io/"))
		if err != nil {
			return err
		}
		if all[tag], err = tarball.Image(opener(i.File.Host), nil); err != nil {
			return err
		}
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer out.Close()
	z, err := zstd.NewWriter(out)
	if err != nil {
		return err
	}
	if err := tarball.MultiRefWrite(all, z); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return out.Close()
}

func opener(file string) tarball.Opener {
	return func() (io.ReadCloser, error) {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		z, err := zstd.NewReader(f)
		if err != nil {
			f.Close()
			return nil, err
		}
		return &unpacked{z.IOReadCloser(), f}, nil
	}
}

// unpacked closes the file below the decompressor too.
type unpacked struct {
	io.ReadCloser
	file *os.File
}

func (u *unpacked) Close() error {
	u.ReadCloser.Close()
	return u.file.Close()
}
