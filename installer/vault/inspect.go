package vault

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
)

// Header is the checked header of a volume. Everything in it follows the rules of
// this package, but nothing in it is authentic: only unlocking and
// [SameIdentity] tell whether this is the volume it says it is.
type Header struct {
	UUID     string
	Label    string
	Cipher   Cipher
	Sector   int    // bytes
	Offset   uint64 // of the encrypted data, bytes
	Sequence uint64 // counts the writes of the header
	// Broken tells that one of the two header copies is damaged. The next change
	// by cryptsetup repairs it.
	Broken bool
	Slots  []*Slot  // by number
	Tokens []*Token // by number

	path   string
	size   uint64
	source *headerCopy
	meta   *metadata
}

// Inspect reads and checks the LUKS2 header on a partition or in an image file.
// It opens nothing and writes nothing. Errors match ErrNotLUKS, ErrDamaged or
// ErrRefused when the header is at fault.
func Inspect(path string) (*Header, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("looking at the encrypted volume: %w", err)
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd) // works for block devices too
	if err != nil {
		return nil, fmt.Errorf("measuring %s: %w", path, err)
	}
	h, err := Parse(f, uint64(size))
	if err != nil {
		return nil, fmt.Errorf("looking at the encrypted volume on %s: %w", path, err)
	}
	h.path = path
	return h, nil
}

// Parse checks the header that r begins with. size is that of the whole
// partition in bytes, or 0 when r holds only a header (a backup).
func Parse(r io.ReaderAt, size uint64) (*Header, error) {
	c, broken, err := pickCopy(r)
	if err != nil {
		return nil, err
	}
	m, l, err := parseMetadata(c, size)
	if err != nil {
		return nil, err
	}
	s := m.Segments["0"]
	h := &Header{
		UUID: c.uuid(), Label: c.label(), Cipher: Cipher(s.Encryption), Sector: s.SectorSize,
		Offset: l.data, Sequence: c.bin.Sequence, Broken: broken, size: size, source: c, meta: m,
	}
	for name, raw := range m.Tokens {
		id, _ := strconv.Atoi(name) // checked by parseMetadata
		h.Tokens = append(h.Tokens, parseToken(id, raw))
	}
	slices.SortFunc(h.Tokens, func(a, b *Token) int { return cmp.Compare(a.ID, b.ID) })
	digested := h.digested()
	for name, raw := range m.Keyslots {
		id, _ := strconv.Atoi(name)
		slot := parseSlot(id, raw, l)
		if slot.Problem == nil && !slices.Contains(digested, name) {
			slot.Problem = fmt.Errorf("%w: no digest", ErrSlotForm)
		}
		h.Slots = append(h.Slots, slot)
	}
	slices.SortFunc(h.Slots, func(a, b *Slot) int { return cmp.Compare(a.ID, b.ID) })
	markOverlaps(h.Slots)
	h.nameSlots()
	return h, nil
}

// digested lists the slots that lead to the volume key of the one segment.
func (h *Header) digested() []string {
	for _, d := range h.meta.Digests {
		return d.Keyslots
	}
	return nil
}

// nameSlots gives every slot the kind of the first good token that names it.
func (h *Header) nameSlots() {
	for _, t := range h.Tokens {
		if t.Problem != nil {
			continue
		}
		for _, id := range t.Slots {
			s := h.Slot(id)
			if s == nil || s.Token >= 0 {
				continue
			}
			switch {
			case t.TPM2 != nil:
				s.Kind, s.Token, s.tpm2 = KindTPM2, t.ID, t.TPM2
				s.State, s.Generation, s.System, s.PIN = t.TPM2.State, t.TPM2.Generation, t.TPM2.System, t.TPM2.Sealed.PIN
			case simpleTokens[t.Type] != "":
				s.Kind, s.Token = simpleTokens[t.Type], t.ID
			}
		}
	}
}

// Slot returns the slot with that number, or nil.
func (h *Header) Slot(id int) *Slot {
	for _, s := range h.Slots {
		if s.ID == id {
			return s
		}
	}
	return nil
}

// Of returns the slots of a kind, by number.
func (h *Header) Of(kind Kind) []*Slot {
	var slots []*Slot
	for _, s := range h.Slots {
		if s.Kind == kind {
			slots = append(slots, s)
		}
	}
	return slots
}

// TPM2Slots returns the slots that a TPM opens, newest first.
func (h *Header) TPM2Slots() []*Slot {
	slots := h.Of(KindTPM2)
	slices.SortFunc(slots, func(a, b *Slot) int {
		if c := cmp.Compare(b.Generation, a.Generation); c != 0 {
			return c
		}
		return cmp.Compare(b.Token, a.Token)
	})
	return slots
}

// Sealed returns what a TPM slot hands to the TPM; nil for slots of other kinds.
func (s *Slot) Sealed() *TPM2Token { return s.tpm2 }

// unlockToken returns the stek-unlock token and its number, or -1.
func (h *Header) unlockToken() (UnlockToken, int) {
	for _, t := range h.Tokens {
		if t.Unlock != nil && t.Problem == nil {
			return *t.Unlock, t.ID
		}
	}
	return UnlockToken{}, -1
}

// Order returns the unlock methods in the order they are to be tried. Without a
// stek-unlock token it is every kind there is a slot of, the TPM first. The
// recovery key is not in it: it is always tried, and last.
func (h *Header) Order() []Kind {
	if u, id := h.unlockToken(); id >= 0 {
		return slices.Clone(u.Methods)
	}
	var order []Kind
	for _, k := range []Kind{KindTPM2, KindKeyStick, KindPassphrase} {
		if len(h.Of(k)) != 0 {
			order = append(order, k)
		}
	}
	return order
}
