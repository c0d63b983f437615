package layout

import (
	"crypto/sha256"
	"fmt"

	"github.com/google/uuid"
)

// GPT partition names.
const (
	ESP   = "esp"
	RootA = "root-a"
	RootB = "root-b"
	State = "state"
)

// GPT partition types (UEFI 2.10, table 5.7; "Discoverable Partitions
// Specification" of the UAPI group).
const (
	TypeESP       = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
	TypeRootAMD64 = "4f68bce3-e8cd-4db1-96e7-fbcaf984b709"
	TypeRootARM64 = "b921b045-1df0-41c3-af44-4c6f280d4fae"
	TypeLUKS      = "ca7d7ccb-63ed-4c53-861c-1742536059cc"
)

// Alignment of partitions, in bytes. The space before the first one is as much.
const Alignment = 1 << 20

// RootType is the partition type of a root for an architecture named as in
// GOARCH.
func RootType(arch string) (string, error) {
	switch arch {
	case "amd64":
		return TypeRootAMD64, nil
	case "arm64":
		return TypeRootARM64, nil
	}
	return "", fmt.Errorf("no partition type is known for a root of the architecture %q", arch)
}

// RootGUID is the GUID of the root partition with that verity root hash: its
// first 16 bytes, in the order in which both are written as text.
func RootGUID(rootHash []byte) (string, error) {
	if len(rootHash) != sha256.Size {
		return "", fmt.Errorf("a root hash has %d bytes, not %d", sha256.Size, len(rootHash))
	}
	return uuid.UUID(rootHash[:16]).String(), nil
}

// derive makes a GUID out of a root hash and what it is for.
func derive(rootHash []byte, purpose string) uuid.UUID {
	sum := sha256.Sum256(append([]byte("stek "+purpose+"\x00"), rootHash...))
	id := uuid.UUID(sum[:16])
	id[6] = id[6]&0x0f | 0x80 // version 8: free form (RFC 9562, section 5.8)
	id[8] = id[8]&0x3f | 0x80
	return id
}
