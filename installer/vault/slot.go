package vault

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// Kind says what opens a slot.
type Kind string

// The kinds of slots. The words of the answer file's encryption.unlock are among
// them.
const (
	KindTPM2        Kind = "tpm2"        // a secret sealed by a TPM 2.0
	KindRecovery    Kind = "recovery"    // the recovery key of the site's papers
	KindMaintenance Kind = "maintenance" // a key file that lives on the volume itself
	KindPassphrase  Kind = "passphrase"  // typed by a person
	KindKeyStick    Kind = "key-stick"   // a key file on a second USB stick
	KindOther       Kind = "other"       // made by another tool, or without a token
)

// State is how far a TPM slot has come.
type State string

// The states of a TPM slot, in the order in which it goes through them.
const (
	// StateProvisional is a slot that is to be replaced even though it works:
	// the installer's, made before the box had started from its disk.
	StateProvisional State = "provisional"
	// StateCandidate is a slot with the final policy that has not opened the
	// volume in a boot yet.
	StateCandidate State = "candidate"
	// StateBound is a slot that has opened the volume in a boot.
	StateBound State = "bound"
)

// Slot is one key slot with its token.
type Slot struct {
	ID         int    `json:"id"`
	Kind       Kind   `json:"kind"`
	Token      int    `json:"token"` // -1 when no token names it
	State      State  `json:"state,omitempty"`
	Generation uint64 `json:"generation,omitempty"` // of a TPM slot; higher is newer
	System     string `json:"system,omitempty"`     // which root a TPM slot is for, such as "a"; empty: every one
	PIN        bool   `json:"pin,omitempty"`
	KDF        string `json:"kdf"`    // pbkdf2 | argon2i | argon2id
	Memory     int    `json:"memory"` // KiB that opening needs; 0 for pbkdf2
	// Problem is why the slot is not tried here; nil for a slot that is.
	Problem error `json:"-"`

	tpm2 *TPM2Token
	meta keyslot
}

// ErrSlotCost means that opening a slot takes more memory or time than a box may
// be made to spend by whoever wrote the header.
var ErrSlotCost = errors.New("the slot needs more memory or time than is allowed at boot: add it again with stek key add-passphrase")

// ErrSlotForm means that a slot is of a form this package cannot open.
var ErrSlotForm = errors.New("the slot is of a form that is not accepted")

// parseSlot decodes and checks one key slot. A fault is returned in the slot, not
// for the volume: a slot that a person added with another tool must not keep the
// box from booting by its other slots.
func parseSlot(id int, raw json.RawMessage, l *layout) *Slot {
	s := &Slot{ID: id, Kind: KindOther, Token: -1}
	if err := decodeStrict(raw, &s.meta, true); err != nil {
		s.Problem = fmt.Errorf("%w: %v", ErrSlotForm, err)
		return s
	}
	s.KDF = s.meta.KDF.Type
	if len(s.KDF) > 16 {
		s.KDF = s.KDF[:16]
	}
	s.Memory = s.meta.KDF.Memory
	s.Problem = checkKeyslot(&s.meta, l)
	return s
}

func checkKeyslot(k *keyslot, l *layout) error {
	form := func(what string) error { return fmt.Errorf("%w: %s", ErrSlotForm, what) }
	if k.Type != "luks2" || !slices.Contains(l.keySizes, k.KeySize) {
		return form("type or key size")
	}
	if _, ok := digestSizes[k.AF.Hash]; !ok || k.AF.Type != "luks1" || k.AF.Stripes != afStripes {
		return form("anti-forensic split")
	}
	// The cipher of the area protects the volume key, so it is as strict as that
	// of the data; luks.go opens xts areas only.
	if k.Area.Type != "raw" || k.Area.Encryption != string(AESXTS) || (k.Area.KeySize != 64 && k.Area.KeySize != 32) {
		return form("area encryption")
	}
	offset, err1 := byteCount(k.Area.Offset)
	size, err2 := byteCount(k.Area.Size)
	if err1 != nil || err2 != nil || offset%afSector != 0 || size%afSector != 0 ||
		size < uint64(k.KeySize*afStripes) || size > maxAreaSize ||
		offset < l.areasStart || offset+size > l.areasEnd {
		return form("area place or size")
	}
	if err := checkSalt(k.KDF.Salt); err != nil {
		return form(err.Error())
	}
	if k.Priority != nil && (*k.Priority < 0 || *k.Priority > 2) {
		return form("priority")
	}
	switch k.KDF.Type {
	case "pbkdf2":
		if _, ok := digestSizes[k.KDF.Hash]; !ok || k.KDF.Time != 0 || k.KDF.Memory != 0 || k.KDF.CPUs != 0 || k.KDF.Iterations < minIterations {
			return form("key derivation")
		}
		if k.KDF.Iterations > maxIterations {
			return ErrSlotCost
		}
	case "argon2i", "argon2id":
		if k.KDF.Hash != "" || k.KDF.Iterations != 0 || k.KDF.Time < 1 || k.KDF.Memory < 32 || k.KDF.CPUs < 1 {
			return form("key derivation")
		}
		if k.KDF.Memory > MaxArgonMemory || k.KDF.Time > maxArgonTime || k.KDF.CPUs > maxArgonThreads {
			return ErrSlotCost
		}
	default:
		return form("key derivation")
	}
	return nil
}

// areaRange is the place of a checked slot's area, bytes.
func (s *Slot) areaRange() (offset, size uint64) {
	offset, _ = strconv.ParseUint(s.meta.Area.Offset, 10, 63)
	size, _ = strconv.ParseUint(s.meta.Area.Size, 10, 63)
	return offset, size
}

// markOverlaps disables slots whose areas share bytes: opening one would read
// what another one wrote.
func markOverlaps(slots []*Slot) {
	for i, a := range slots {
		if a.Problem != nil {
			continue
		}
		aStart, aSize := a.areaRange()
		for _, b := range slots[:i] {
			if errors.Is(b.Problem, ErrSlotForm) || b.meta.Area.Offset == "" {
				continue
			}
			bStart, bSize := b.areaRange()
			if aStart < bStart+bSize && bStart < aStart+aSize {
				a.Problem = fmt.Errorf("%w: its area overlaps that of slot %d", ErrSlotForm, b.ID)
				break
			}
		}
	}
}
