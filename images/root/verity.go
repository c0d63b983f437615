package root

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"

	"github.com/google/uuid"
)

// VerityBlock is the size of data and hash blocks, in bytes.
const VerityBlock = 4096

// VerityTree is what the kernel command line must say about a root.
type VerityTree struct {
	RootHash   string // 64 hex digits, SHA-256
	Salt       string // 64 hex digits
	DataBlocks int64  // of VerityBlock bytes; the superblock follows them, the hash tree comes one block later
	Size       int64  // of the whole file: data, superblock and hash tree
	UUID       string // in the superblock
}

var rootHashLine = regexp.MustCompile(`(?m)^Root hash:\s*([0-9a-f]{64})$`)

// Verity appends the dm-verity superblock and hash tree (format 1, SHA-256) to a
// squashfs image, whose size must be a multiple of VerityBlock. Salt and UUID come
// from the content, so equal images stay equal. The salt need not be random: it
// keeps hash trees of different images from being compared, and this root is public.
func Verity(ctx context.Context, name string, r Runner) (VerityTree, error) {
	v, err := verity(ctx, name, r)
	if err != nil {
		return VerityTree{}, fmt.Errorf("making the hash tree of the root: %w", err)
	}
	return v, nil
}

func verity(ctx context.Context, name string, r Runner) (VerityTree, error) {
	sum, size, err := sumFile(name)
	if err != nil {
		return VerityTree{}, err
	}
	if size == 0 || size%VerityBlock != 0 {
		return VerityTree{}, fmt.Errorf("the image is %d bytes long, not whole blocks of %d", size, VerityBlock)
	}
	salt := sha256.Sum256(append([]byte("stek verity salt "), sum...))
	id := uuid.NewHash(sha256.New(), uuid.NameSpaceOID, append([]byte("stek verity uuid "), sum...), 8)
	v := VerityTree{Salt: hex.EncodeToString(salt[:]), DataBlocks: size / VerityBlock, UUID: id.String()}
	out, err := output(ctx, r, Command{Name: "veritysetup", Args: []string{
		"format", name, name, "--format=1", "--hash=sha256",
		"--data-block-size=" + strconv.Itoa(VerityBlock), "--hash-block-size=" + strconv.Itoa(VerityBlock),
		"--data-blocks=" + strconv.FormatInt(v.DataBlocks, 10), "--hash-offset=" + strconv.FormatInt(size, 10),
		"--salt=" + v.Salt, "--uuid=" + v.UUID,
	}})
	if err != nil {
		return VerityTree{}, err
	}
	m := rootHashLine.FindSubmatch(out)
	if m == nil {
		return VerityTree{}, errors.New("veritysetup printed no root hash")
	}
	v.RootHash = string(m[1])
	info, err := os.Stat(name)
	if err != nil {
		return VerityTree{}, err
	}
	v.Size = info.Size()
	return v, nil
}

func sumFile(name string) ([]byte, int64, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return nil, 0, fmt.Errorf("reading the image: %w", err)
	}
	return h.Sum(nil), n, nil
}
