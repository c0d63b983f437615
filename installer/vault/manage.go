package vault

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"github.com/stek-edge/stek/installer/tpm"
)

// Label is the LUKS2 label of the volume.
const Label = "stek-state"

// Sealer is what enrolling needs of a TPM: [tpm.Device] has it.
type Sealer interface {
	Seal(ctx context.Context, secret []byte, p tpm.Policy, pin []byte) (*tpm.Sealed, error)
}

// Manager changes the slots and tokens of one volume with stock cryptsetup. Only
// one Manager may work on a volume at a time. The zero Runner is Exec.
type Manager struct {
	Device string // partition or image file
	Runner Runner
}

func (m *Manager) cryptsetup() cryptsetup {
	r := m.Runner
	if r == nil {
		r = Exec{}
	}
	return cryptsetup{run: r, device: m.Device}
}

// FormatOptions says how a volume is made.
type FormatOptions struct {
	// Recovery is the recovery key, which opens slot 0. It is required: no volume
	// ever exists without one.
	Recovery RecoveryKey
	Cipher   Cipher // default AESXTS, 512-bit key; the others are for boxes without AES instructions
	Label    string // default Label
	UUID     string // default random; given only in tests and restores
	// Order are the unlock methods in the order to try them.
	Order []Kind
}

// Format makes a new LUKS2 volume with a random volume key, and with that loses
// whatever was on the device. It needs no device-mapper for aes-xts. When it was
// cut off it is simply run again.
func (m *Manager) Format(ctx context.Context, o FormatOptions) error {
	if o.Recovery.IsZero() {
		return errors.New("making the encrypted volume: no recovery key was given")
	}
	if o.Cipher == "" {
		o.Cipher = AESXTS
	}
	if _, ok := keySizes[o.Cipher]; !ok {
		return fmt.Errorf("making the encrypted volume: %q is not on the list of ciphers", o.Cipher)
	}
	if o.Label == "" {
		o.Label = Label
	}
	order, err := UnlockToken{Methods: o.Order}.Encode()
	if err != nil {
		return fmt.Errorf("making the encrypted volume: %w", err)
	}
	c := m.cryptsetup()
	if err := c.format(ctx, o, []byte(o.Recovery.Reveal())); err != nil {
		return fmt.Errorf("making the encrypted volume: %w", err)
	}
	if err := c.importToken(ctx, 0, encodeSimple(typeRecovery, 0), false); err != nil {
		return fmt.Errorf("naming the recovery slot: %w", err)
	}
	if err := c.importToken(ctx, 1, order, false); err != nil {
		return fmt.Errorf("writing the unlock order: %w", err)
	}
	return nil
}

// AddRecovery adds a recovery key. auth is the passphrase of any slot.
func (m *Manager) AddRecovery(ctx context.Context, auth []byte, key RecoveryKey) (*Slot, error) {
	if key.IsZero() {
		return nil, errors.New("adding a recovery key: none was given")
	}
	return m.add(ctx, auth, KindRecovery, []byte(key.Reveal()), fastKDF, simple(typeRecovery))
}

// MinPassphrase is the least length of a passphrase, bytes.
const MinPassphrase = 8

// AddPassphrase adds a passphrase that a person types, stretched with argon2id.
func (m *Manager) AddPassphrase(ctx context.Context, auth, passphrase []byte) (*Slot, error) {
	switch {
	case len(passphrase) < MinPassphrase:
		return nil, fmt.Errorf("adding a passphrase: it needs at least %d characters", MinPassphrase)
	case len(passphrase) > 512:
		return nil, errors.New("adding a passphrase: it may be 512 bytes long at most")
	case slices.Contains(passphrase, '\n') || slices.Contains(passphrase, '\r') || slices.Contains(passphrase, 0):
		return nil, errors.New("adding a passphrase: it must be one line")
	}
	return m.add(ctx, auth, KindPassphrase, passphrase, slowKDF, simple(typePassphrase))
}

// NewKeyFile makes the content of a key file: 512 random bits.
func NewKeyFile() []byte {
	key := make([]byte, 64)
	rand.Read(key) // never fails
	return key
}

// AddMaintenance adds the slot whose key lives on the volume itself, with which
// the running box changes its slots unattended. Write the key to the volume and
// sync it before calling this: after a power cut the file without the slot does
// no harm, a slot whose key is lost does nothing but take up room.
func (m *Manager) AddMaintenance(ctx context.Context, auth, key []byte) (*Slot, error) {
	return m.addKeyFile(ctx, auth, KindMaintenance, typeMaintenance, key)
}

// AddKeyStick adds the slot for a key file on a second USB stick. As with
// AddMaintenance, the file comes first.
func (m *Manager) AddKeyStick(ctx context.Context, auth, key []byte) (*Slot, error) {
	return m.addKeyFile(ctx, auth, KindKeyStick, typeKeyStick, key)
}

func (m *Manager) addKeyFile(ctx context.Context, auth []byte, kind Kind, typ string, key []byte) (*Slot, error) {
	if len(key) < 32 || len(key) > 4096 {
		return nil, fmt.Errorf("adding a %s key: it must be 32 to 4096 random bytes", kind)
	}
	return m.add(ctx, auth, kind, key, fastKDF, simple(typ))
}

// TPM2Options says how a TPM slot is made.
type TPM2Options struct {
	Policy tpm.Policy
	PIN    []byte // with Policy.PIN
	// State is StateProvisional for a slot that is to be replaced even if it
	// works; otherwise StateCandidate, the default.
	State State
	// System is the root the policy fits, such as "a"; empty when it fits all.
	System string
}

// AddTPM2 seals a new random key to the TPM and adds a slot for it: Seal and
// AddSealed in one.
func (m *Manager) AddTPM2(ctx context.Context, auth []byte, s Sealer, o TPM2Options) (*Slot, error) {
	key, err := Seal(ctx, s, o)
	if err != nil {
		return nil, err
	}
	defer key.Wipe()
	return m.AddSealed(ctx, auth, key)
}

// tokenFor makes the token for a slot once its number is known.
type tokenFor func(slot int, generation uint64) ([]byte, error)

func simple(typ string) tokenFor {
	return func(slot int, _ uint64) ([]byte, error) { return encodeSimple(typ, slot), nil }
}

// add adds a slot and its token. Between the two calls a slot exists that nothing
// names and whose key may be lost: it is announced in the unlock token before, so
// that Tidy knows it for what it is.
func (m *Manager) add(ctx context.Context, auth []byte, kind Kind, key []byte, k kdfOptions, token tokenFor) (*Slot, error) {
	fail := func(err error) (*Slot, error) { return nil, fmt.Errorf("adding a %s slot: %w", kind, err) }
	h, err := m.tidied(ctx)
	if err != nil {
		return fail(err)
	}
	slot, id, err := h.free()
	if err != nil {
		return fail(err)
	}
	u, _ := h.unlockToken()
	if kind == KindTPM2 {
		// Counts on from what is there, too, in case the unlock token was lost.
		for _, s := range h.Of(KindTPM2) {
			u.Generation = max(u.Generation, s.Generation)
		}
		u.Generation++
	}
	text, err := token(slot, u.Generation)
	if err != nil {
		return fail(err)
	}
	c := m.cryptsetup()
	u.Adding = []int{slot}
	if err := m.writeUnlock(ctx, h, u); err != nil {
		return fail(err)
	}
	if err := c.addKey(ctx, auth, key, slot, k); err != nil {
		return fail(err)
	}
	if err := c.importToken(ctx, id, text, false); err != nil {
		return fail(err)
	}
	u.Adding = nil
	if err := m.writeUnlock(ctx, h, u); err != nil {
		return fail(err)
	}
	if h, err = Inspect(m.Device); err != nil {
		return fail(err)
	}
	s := h.Slot(slot)
	if s == nil || s.Kind != kind || s.Problem != nil {
		return fail(fmt.Errorf("slot %d is not what was written", slot))
	}
	return s, nil
}

// free finds the lowest free slot, and a free token number that is not the one
// the unlock token will take.
func (h *Header) free() (slot, token int, err error) {
	for slot = 0; h.Slot(slot) != nil; slot++ {
	}
	_, unlock := h.unlockToken()
	ids := h.freeTokens()
	if unlock < 0 && len(ids) > 0 {
		ids = ids[1:]
	}
	if slot > maxSlot || len(ids) == 0 {
		return 0, 0, errors.New("all slots of the volume are taken: remove one first")
	}
	return slot, ids[0], nil
}

func (h *Header) freeTokens() []int {
	var ids []int
	for id := range maxSlot + 1 {
		if !slices.ContainsFunc(h.Tokens, func(t *Token) bool { return t.ID == id }) {
			ids = append(ids, id)
		}
	}
	return ids
}

// writeUnlock writes the unlock token to its place, or to the first free one.
func (m *Manager) writeUnlock(ctx context.Context, h *Header, u UnlockToken) error {
	text, err := u.Encode()
	if err != nil {
		return err
	}
	_, id := h.unlockToken()
	if id < 0 {
		ids := h.freeTokens()
		if len(ids) == 0 {
			return errors.New("all tokens of the volume are taken")
		}
		id = ids[0]
		// From now on the place is taken.
		h.Tokens = append(h.Tokens, &Token{ID: id, Type: typeUnlock, Unlock: &u})
		return m.cryptsetup().importToken(ctx, id, text, false)
	}
	return m.cryptsetup().importToken(ctx, id, text, true)
}

// SetOrder changes the order in which unlock methods are tried.
func (m *Manager) SetOrder(ctx context.Context, methods []Kind) error {
	h, err := m.tidied(ctx)
	if err != nil {
		return fmt.Errorf("changing the unlock order: %w", err)
	}
	u, _ := h.unlockToken()
	u.Methods = methods
	if err := m.writeUnlock(ctx, h, u); err != nil {
		return fmt.Errorf("changing the unlock order: %w", err)
	}
	return nil
}
