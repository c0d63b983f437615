package stage1

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"

	"github.com/stek-edge/stek/installer/durable"
)

// machineID gives the machine its id (machine-id(5)) on the first start from its
// own state. The file is whole or absent, whenever the power goes.
func machineID(path string) error {
	if b, err := os.ReadFile(path); err == nil && len(bytes.TrimSpace(b)) == 32 {
		return nil
	}
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return err
	}
	// RFC 9562, section 5.4: machine-id(5) asks for the form of a version 4 UUID.
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	if err := durable.WriteFile(path, []byte(hex.EncodeToString(id)+"\n"), 0o444); err != nil {
		return fmt.Errorf("giving this machine its id: %w", err)
	}
	return nil
}
