package vault

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Limits on what a header may ask of the machine that opens it. Anyone who held
// the disk may have written these numbers.
const (
	maxSlot = 31 // LUKS2_KEYSLOTS_MAX - 1
	// MaxArgonMemory is the most memory, in KiB, that a slot may need to be
	// opened here. Stock cryptsetup takes up to 1 GiB by default, which a small
	// box does not have in its initramfs: such a slot is listed but not tried.
	MaxArgonMemory  = 256 << 10
	maxArgonTime    = 64
	maxArgonThreads = 16
	minIterations   = 1000
	maxIterations   = 10_000_000 // pbkdf2; about 10 s on a slow core
	afStripes       = 4000       // LUKS2 on-disk format, section 4.3
	afSector        = 4096       // slot areas are aligned to this
	maxAreaSize     = 1 << 20
	maxKeyslotsSize = 128 << 20
)

// Cipher is the encryption of the volume in dm-crypt's words.
type Cipher string

// The ciphers a volume may have. Everything else is refused: cipher_null, which
// turns encryption off, and any mode that gives less than these.
const (
	AESXTS     Cipher = "aes-xts-plain64"
	Adiantum12 Cipher = "xchacha12,aes-adiantum-plain64" // for boxes without AES instructions
	Adiantum20 Cipher = "xchacha20,aes-adiantum-plain64"
)

// keySizes are the volume key sizes, in bytes, that go with a cipher.
var keySizes = map[Cipher][]int{
	AESXTS:     {64, 32},
	Adiantum12: {32},
	Adiantum20: {32},
}

// digestSizes are the hashes of digests and key derivations, and their bytes.
var digestSizes = map[string]int{"sha256": 32, "sha512": 64}

// metadata is the LUKS2 JSON area, section 3 of the on-disk format. It has no
// field that this package does not check; tokens are checked one by one.
type metadata struct {
	Keyslots map[string]json.RawMessage `json:"keyslots"`
	Tokens   map[string]json.RawMessage `json:"tokens"`
	Segments map[string]segment         `json:"segments"`
	Digests  map[string]digest          `json:"digests"`
	Config   config                     `json:"config"`
}

type segment struct {
	Type       string `json:"type"`
	Offset     string `json:"offset"`
	Size       string `json:"size"`
	IVTweak    string `json:"iv_tweak"`
	Encryption string `json:"encryption"`
	SectorSize int    `json:"sector_size"`
}

type digest struct {
	Type       string   `json:"type"`
	Keyslots   []string `json:"keyslots"`
	Segments   []string `json:"segments"`
	Hash       string   `json:"hash"`
	Iterations int      `json:"iterations"`
	Salt       string   `json:"salt"`
	Digest     string   `json:"digest"`
}

type config struct {
	JSONSize     string          `json:"json_size"`
	KeyslotsSize string          `json:"keyslots_size"`
	Flags        []string        `json:"flags,omitempty"` // not used: mapping flags are chosen here
	Requirements json.RawMessage `json:"requirements,omitempty"`
}

type keyslot struct {
	Type     string `json:"type"`
	KeySize  int    `json:"key_size"`
	AF       af     `json:"af"`
	Area     area   `json:"area"`
	KDF      kdf    `json:"kdf"`
	Priority *int   `json:"priority,omitempty"`
}

type af struct {
	Type    string `json:"type"`
	Stripes int    `json:"stripes"`
	Hash    string `json:"hash"`
}

type area struct {
	Type       string `json:"type"`
	Encryption string `json:"encryption"`
	KeySize    int    `json:"key_size"`
	Offset     string `json:"offset"`
	Size       string `json:"size"`
}

type kdf struct {
	Type       string `json:"type"`
	Salt       string `json:"salt"`
	Hash       string `json:"hash,omitempty"`       // pbkdf2
	Iterations int    `json:"iterations,omitempty"` // pbkdf2
	Time       int    `json:"time,omitempty"`       // argon2
	Memory     int    `json:"memory,omitempty"`     // argon2, KiB
	CPUs       int    `json:"cpus,omitempty"`       // argon2
}

// layout is where the parts of a volume lie, bytes.
type layout struct {
	areasStart, areasEnd uint64 // key slot areas
	data                 uint64 // start of the encrypted data
	keySizes             []int  // of the volume key, that go with the cipher
}

// parseMetadata decodes the JSON area and checks everything that concerns the
// volume as a whole. size is that of the device, 0 when only a header is at hand.
func parseMetadata(c *headerCopy, size uint64) (*metadata, *layout, error) {
	var m metadata
	if err := decodeHeader(c.json, &m); err != nil {
		return nil, nil, refuse("json", "%v", err)
	}
	if len(m.Config.Requirements) != 0 {
		req, err := requirements(m.Config.Requirements)
		if err != nil {
			return nil, nil, err
		}
		if len(req) != 0 {
			return nil, nil, &RequirementError{Names: req}
		}
	}
	var l layout
	jsonSize, err := byteCount(m.Config.JSONSize)
	if err != nil || jsonSize != c.bin.Size-binarySize {
		return nil, nil, refuse("config.json_size", "does not fit the header's size")
	}
	slots, err := byteCount(m.Config.KeyslotsSize)
	if err != nil || slots%afSector != 0 || slots > maxKeyslotsSize {
		return nil, nil, refuse("config.keyslots_size", "not a size for key slots")
	}
	l.areasStart = 2 * c.bin.Size
	l.areasEnd = l.areasStart + slots
	if err := checkSegment(&m, &l, size); err != nil {
		return nil, nil, err
	}
	if err := checkDigest(&m); err != nil {
		return nil, nil, err
	}
	if len(m.Keyslots) == 0 {
		return nil, nil, refuse("keyslots", "the volume has no key slot")
	}
	for name := range m.Keyslots {
		if _, err := index(name, maxSlot); err != nil {
			return nil, nil, refuse("keyslots", "%v", err)
		}
	}
	for name := range m.Tokens {
		if _, err := index(name, maxSlot); err != nil {
			return nil, nil, refuse("tokens", "%v", err)
		}
	}
	return &m, &l, nil
}

// RequirementError means that the volume is in a state that only another tool can
// end, such as a re-encryption that was cut off. It matches ErrRefused.
type RequirementError struct {
	Names []string // such as "online-reencrypt-v2"
}

func (e *RequirementError) Error() string {
	return fmt.Sprintf("the volume may not be opened in its present state: it requires %.100q", e.Names)
}

// Remedy says what a person can do.
func (e *RequirementError) Remedy() string {
	return "a re-encryption that did not end is finished from a rescue system, with cryptsetup repair and cryptsetup reencrypt --resume-only; if nobody began one, look at the box and its disk first"
}

// Is lets errors.Is find ErrRefused.
func (e *RequirementError) Is(target error) bool { return target == ErrRefused }

// requirements reads both forms in use: an object {"mandatory": […]} as
// cryptsetup writes it, and a plain list.
func requirements(raw json.RawMessage) ([]string, error) {
	var list []string
	if json.Unmarshal(raw, &list) == nil {
		return list, nil
	}
	var obj struct {
		Mandatory []string `json:"mandatory"`
	}
	if err := decodeStrict(raw, &obj, true); err != nil {
		return nil, refuse("config.requirements", "%v", err)
	}
	return obj.Mandatory, nil
}

// checkSegment allows one encrypted segment and nothing beside it, so that no
// part of what gets mapped can lie outside the encryption.
func checkSegment(m *metadata, l *layout, size uint64) error {
	s, ok := m.Segments["0"]
	if !ok || len(m.Segments) != 1 {
		return refuse("segments", "exactly one segment is accepted")
	}
	if s.Type != "crypt" {
		return refuse("segments.0.type", "%.32q is not encryption", s.Type)
	}
	sizes, ok := keySizes[Cipher(s.Encryption)]
	if !ok {
		return refuse("segments.0.encryption", "%.48q is not on the list of ciphers", s.Encryption)
	}
	offset, err := byteCount(s.Offset)
	switch {
	case err != nil || offset%afSector != 0:
		return refuse("segments.0.offset", "not a multiple of %d bytes", afSector)
	case offset < l.areasEnd:
		return refuse("segments.0.offset", "the data would begin inside the header")
	case size != 0 && offset >= size:
		return refuse("segments.0.offset", "the data would begin behind the end of the partition")
	}
	l.data = offset
	if s.Size != "dynamic" {
		return refuse("segments.0.size", "only the whole partition is accepted")
	}
	if s.IVTweak != "0" {
		return refuse("segments.0.iv_tweak", "must be 0")
	}
	if !slices.Contains([]int{512, 1024, 2048, 4096}, s.SectorSize) {
		return refuse("segments.0.sector_size", "%d is not a sector size", s.SectorSize)
	}
	l.keySizes = sizes
	return nil
}

// checkDigest allows one digest, over the one segment. Its length is fixed by its
// hash: an empty digest would fit every key.
func checkDigest(m *metadata) error {
	if len(m.Digests) != 1 {
		return refuse("digests", "exactly one digest is accepted")
	}
	var d digest
	for name := range m.Digests { // not always "0": re-encryption counts on
		if _, err := index(name, maxSlot); err != nil {
			return refuse("digests", "%v", err)
		}
		d = m.Digests[name]
	}
	n, ok := digestSizes[d.Hash]
	if d.Type != "pbkdf2" || !ok {
		return refuse("digests", "type or hash not accepted")
	}
	if d.Iterations < minIterations || d.Iterations > maxIterations {
		return refuse("digests.iterations", "%d is out of bounds", d.Iterations)
	}
	if sum, err := decodeBase64(d.Digest); err != nil || len(sum) != n {
		return refuse("digests.digest", "has not the length of its hash")
	}
	if err := checkSalt(d.Salt); err != nil {
		return refuse("digests.salt", "%v", err)
	}
	if !slices.Equal(d.Segments, []string{"0"}) {
		return refuse("digests.segments", "must be the one segment")
	}
	for _, k := range d.Keyslots {
		if _, err := index(k, maxSlot); err != nil {
			return refuse("digests.keyslots", "%v", err)
		}
	}
	return nil
}

func checkSalt(s string) error {
	b, err := decodeBase64(s)
	if err != nil || len(b) < 16 || len(b) > 64 {
		return fmt.Errorf("the salt is not 16 to 64 bytes")
	}
	return nil
}
