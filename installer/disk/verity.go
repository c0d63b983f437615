package disk

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
)

// verityBlock is the size of data and hash blocks, bytes; images have no other.
const verityBlock = 4096

// Verity is a root file system that is followed by its dm-verity superblock and
// hash tree, as veritysetup(8) writes them.
type Verity struct {
	Size     uint64 // of everything, bytes: what a copy takes
	Offset   uint64 // of the superblock, bytes: where the file system ends
	RootHash string // 64 hex digits
}

// VerityError says that a root file system is not the one that its root hash names.
type VerityError struct {
	Offset uint64 // first byte of the first block that is wrong, from the start of the file system
	What   string // "the file system", "its hash tree", "its superblock"
}

func (e *VerityError) Error() string {
	return fmt.Sprintf("the root file system is damaged: %s is not what the image was made with, from byte %d on", e.What, e.Offset)
}

// superblock is struct verity_sb (Linux kernel, Documentation/admin-guide/
// device-mapper/verity.rst; cryptsetup wiki, DMVerity).
type superblock struct {
	Signature  [8]byte
	Version    uint32
	HashType   uint32
	UUID       [16]byte
	Algorithm  [32]byte
	DataBlock  uint32
	HashBlock  uint32
	DataBlocks uint64
	SaltSize   uint16
	_          [6]byte
	Salt       [256]byte
}

// Check reads a root once, computes its whole hash tree, and compares it with the
// tree that is there and with the root hash. It returns the SHA-256 of all bytes,
// so that a copy made later can be held to be what was checked. The error is a
// *VerityError, a *CopyError of reading, or the context's.
func (v Verity) Check(ctx context.Context, r io.ReaderAt, progress func(done, total uint64)) ([sha256.Size]byte, error) {
	var sum [sha256.Size]byte
	root, err := hex.DecodeString(v.RootHash)
	if err != nil || len(root) != sha256.Size || v.Offset == 0 || v.Offset%verityBlock != 0 || v.Size < v.Offset+verityBlock {
		return sum, fmt.Errorf("checking the root file system: a file system of %d bytes in %d with the root hash %q is not possible", v.Offset, v.Size, v.RootHash)
	}
	salt, err := v.salt(r)
	if err != nil {
		return sum, err
	}
	t := newTree(salt, v.Offset/verityBlock)
	stored := make([]byte, 0, v.Size-v.Offset) // superblock and tree: a hundredth of the whole
	whole := sha256.New()
	err = stream(ctx, r, 0, v.Size, defaultBuffer, OpSource, whole, func(b []byte, off uint64) error {
		data := min(uint64(len(b)), v.Offset-min(off, v.Offset))
		t.add(b[:data])
		stored = append(stored, b[data:]...)
		if progress != nil {
			progress(off+uint64(len(b)), v.Size)
		}
		return nil
	})
	if err != nil {
		return sum, err
	}
	levels, top := t.levels()
	if len(stored) < verityBlock*(1+blocks(levels)) {
		return sum, &VerityError{Offset: v.Offset, What: "its hash tree"}
	}
	if err := v.compare(levels, stored[verityBlock:], bytes.Equal(top, root)); err != nil {
		return sum, err
	}
	whole.Sum(sum[:0])
	return sum, nil
}

// salt reads the superblock. Nothing but the salt is taken from it, and that is
// right only when the root hash comes out of it in the end.
func (v Verity) salt(r io.ReaderAt) ([]byte, error) {
	b := make([]byte, verityBlock)
	if n, err := r.ReadAt(b, int64(v.Offset)); n != len(b) {
		return nil, &CopyError{Op: OpSource, Offset: v.Offset, Err: unexpected(err)}
	}
	var sb superblock
	if err := binary.Read(bytes.NewReader(b), binary.LittleEndian, &sb); err != nil {
		return nil, fmt.Errorf("decoding the verity superblock: %w", err)
	}
	algorithm, _, _ := bytes.Cut(sb.Algorithm[:], []byte{0})
	if string(sb.Signature[:]) != "verity\x00\x00" || sb.Version != 1 || sb.HashType != 1 || string(algorithm) != "sha256" ||
		sb.DataBlock != verityBlock || sb.HashBlock != verityBlock || sb.DataBlocks != v.Offset/verityBlock || int(sb.SaltSize) > len(sb.Salt) {
		return nil, &VerityError{Offset: v.Offset, What: "its superblock"}
	}
	return sb.Salt[:sb.SaltSize], nil
}

// compare finds what is damaged: the blocks whose sums are not those of the tree,
// or the tree. In a tree on disk the level with one block comes first.
func (v Verity) compare(levels [][]byte, stored []byte, rootFits bool) error {
	at := uint64(0)
	for i := len(levels) - 1; i >= 0; i-- {
		level := levels[i]
		have := stored[at : at+uint64(len(level))]
		if n := differs(level, have); n >= 0 && (rootFits || i == 0) {
			if rootFits {
				return &VerityError{Offset: v.Offset + verityBlock + (at+uint64(n))/verityBlock*verityBlock, What: "its hash tree"}
			}
			return &VerityError{Offset: uint64(n/sha256.Size) * verityBlock, What: "the file system"}
		}
		at += uint64(len(level))
	}
	if !rootFits {
		return &VerityError{Offset: 0, What: "the file system"}
	}
	return nil
}

func differs(a, b []byte) int {
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return -1
}

func blocks(levels [][]byte) int {
	n := 0
	for _, l := range levels {
		n += len(l) / verityBlock
	}
	return n
}

// tree computes the sums of the blocks of a file system, and those of the sums.
type tree struct {
	salt []byte
	sums []byte // of the data blocks, in order
}

func newTree(salt []byte, dataBlocks uint64) *tree {
	return &tree{salt: salt, sums: make([]byte, 0, dataBlocks*sha256.Size)}
}

// add takes the next data blocks, whole ones.
func (t *tree) add(b []byte) { t.sums = append(t.sums, t.hash(b)...) }

// hash gives the sum of each block: SHA-256 of salt and block (format 1).
func (t *tree) hash(b []byte) []byte {
	sums := make([]byte, 0, len(b)/verityBlock*sha256.Size)
	h := sha256.New()
	for ; len(b) >= verityBlock; b = b[verityBlock:] {
		h.Reset()
		h.Write(t.salt)
		h.Write(b[:verityBlock])
		sums = h.Sum(sums)
	}
	return sums
}

// levels gives the hash blocks of each level, that of the data first, and the sum
// of the topmost block. A file system of one block has no tree.
func (t *tree) levels() (levels [][]byte, top []byte) {
	sums := t.sums
	for len(sums) > sha256.Size {
		padded := append(sums, make([]byte, -len(sums)&(verityBlock-1))...)
		levels = append(levels, padded)
		sums = t.hash(padded)
	}
	return levels, sums
}
