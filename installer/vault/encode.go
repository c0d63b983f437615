package vault

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// encodeChecked encodes the header for luks.go: a primary copy, also when it was
// read from the secondary one; no tokens, no flags, no slots with a problem.
func (h *Header) encodeChecked() ([]byte, error) {
	m := *h.meta
	m.Tokens = map[string]json.RawMessage{}
	m.Config.Flags, m.Config.Requirements = nil, nil
	m.Keyslots = map[string]json.RawMessage{}
	for _, s := range h.Slots {
		if s.Problem != nil {
			continue
		}
		raw, err := json.Marshal(s.meta)
		if err != nil {
			return nil, fmt.Errorf("encoding slot %d: %w", s.ID, err)
		}
		m.Keyslots[strconv.Itoa(s.ID)] = raw
	}
	text, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encoding the header: %w", err)
	}
	bin := h.source.bin
	copy(bin.Magic[:], magicPrimary)
	bin.Offset = 0
	if uint64(len(text)) >= bin.Size-binarySize {
		return nil, errors.New("encoding the header: it grew out of its area")
	}
	var buf bytes.Buffer
	if err := binary.Write(&buf, binary.BigEndian, bin); err != nil {
		return nil, fmt.Errorf("encoding the header: %w", err)
	}
	raw := make([]byte, bin.Size)
	copy(raw, buf.Bytes())
	copy(raw[binarySize:], text)
	clear(raw[checksumAt : checksumAt+64])
	copy(raw[checksumAt:], checksum(raw))
	return raw, nil
}
