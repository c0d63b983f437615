package stage1

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// RootSpec is what the kernel command line says about the root file system. The
// command line lies inside the UKI, which is measured and, with Secure Boot,
// signed, so these values are as trustworthy as the kernel itself.
type RootSpec struct {
	Hash    string // root hash of the verity tree, lower-case hex, 32 bytes
	Salt    string // salt of the verity tree, lower-case hex
	Blocks  uint64 // data blocks of 4096 bytes; the superblock follows, then the tree
	Version string // version of the image
}

const verityBlock = 4096 // bytes, data and hash blocks alike

// HashOffset is where in the root partition the verity superblock lies, in bytes.
func (r RootSpec) HashOffset() uint64 { return r.Blocks * verityBlock }

// guid returns the GPT partition GUID that a root with this hash has: the first 128 bits
// of the root hash, as the Discoverable Partitions Specification (UAPI.2) lays down.
func (r RootSpec) guid() string {
	h := r.Hash[:32]
	return strings.Join([]string{h[0:8], h[8:12], h[12:16], h[16:20], h[20:32]}, "-")
}

// ParseCmdline reads the parameters of stage1 out of a kernel command line. A key
// given twice is refused: the second one would have come from outside the UKI.
func ParseCmdline(line string) (RootSpec, error) {
	var spec RootSpec
	seen := map[string]bool{}
	var faults []error
	for _, field := range strings.Fields(line) {
		key, value, _ := strings.Cut(field, "=")
		if key != "roothash" && !strings.HasPrefix(key, "stek.") {
			continue
		}
		if seen[key] {
			faults = append(faults, fmt.Errorf("the kernel command line gives %s twice", key))
			continue
		}
		seen[key] = true
		switch key {
		case "roothash":
			if !isHex(value, 32) {
				faults = append(faults, errors.New("roothash on the kernel command line is not 64 hex digits"))
			}
			spec.Hash = strings.ToLower(value)
		case "stek.root.salt":
			if !isHex(value, 32) {
				faults = append(faults, errors.New("stek.root.salt on the kernel command line is not 64 hex digits"))
			}
			spec.Salt = strings.ToLower(value)
		case "stek.root.blocks":
			n, err := strconv.ParseUint(value, 10, 40)
			if err != nil || n == 0 {
				faults = append(faults, errors.New("stek.root.blocks on the kernel command line is not a number of blocks"))
			}
			spec.Blocks = n
		case "stek.version":
			spec.Version = value
		}
	}
	for _, key := range []string{"roothash", "stek.root.salt", "stek.root.blocks"} {
		if !seen[key] {
			faults = append(faults, fmt.Errorf("the kernel command line has no %s", key))
		}
	}
	return spec, errors.Join(faults...)
}

func isHex(s string, bytes int) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == bytes
}
