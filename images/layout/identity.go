package layout

import (
	"crypto/sha256"

	"github.com/google/uuid"
)

// derive makes a GUID out of a root hash and what it is for.
func derive(rootHash []byte, purpose string) uuid.UUID {
	sum := sha256.Sum256(append([]byte("stek "+purpose+"\x00"), rootHash...))
	id := uuid.UUID(sum[:16])
	id[6] = id[6]&0x0f | 0x80 // version 8: free form (RFC 9562, section 5.8)
	id[8] = id[8]&0x3f | 0x80
	return id
}
