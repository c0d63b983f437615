package vault

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// The types of tokens this package knows.
const (
	typeTPM2        = "systemd-tpm2"
	typeRecovery    = "systemd-recovery"
	typeMaintenance = "stek-maintenance"
	typePassphrase  = "stek-passphrase"
	typeKeyStick    = "stek-key-stick"
	typeUnlock      = "stek-unlock"
)

// simpleTokens are the tokens that say nothing but which kind their slot is of.
var simpleTokens = map[string]Kind{
	typeRecovery:    KindRecovery,
	typeMaintenance: KindMaintenance,
	typePassphrase:  KindPassphrase,
	typeKeyStick:    KindKeyStick,
}

// maxTokenSize bounds one token, bytes. The largest we write, with a 4096-bit
// key, is below 4 KiB.
const maxTokenSize = 16 << 10

// ErrToken means that a token does not follow its format. Such a token is never
// used; the slot it names is listed as KindOther.
var ErrToken error = &headerFault{"the token is not valid",
	"open the disk with the recovery key, then enrol the TPM again; ask who could write to this disk"}

// ErrTokenUnsupported means that a token is well-formed but uses a feature of
// systemd that is not built here (pcrlock, key shares).
var ErrTokenUnsupported error = &headerFault{"the token uses a feature that is not supported",
	"open the disk with the recovery key, then enrol the TPM again with stek"}

// Token is one LUKS2 token.
type Token struct {
	ID   int
	Type string
	// Slots are the key slots it names; empty when its slot was removed, and for
	// the unlock order.
	Slots []int
	Raw   json.RawMessage
	// Problem is why the token is not used; nil for tokens of other tools that
	// are simply not known here.
	Problem error

	TPM2   *TPM2Token   // for type systemd-tpm2
	Unlock *UnlockToken // for type stek-unlock
}

// tokenBase is what LUKS2 demands of every token: on-disk format, section 3.4.
type tokenBase struct {
	Type     string   `json:"type"`
	Keyslots []string `json:"keyslots"`
}

// parseToken decodes one token. Faults end up in Problem: a broken token must not
// keep the box from booting by another one.
func parseToken(id int, raw json.RawMessage) *Token {
	t := &Token{ID: id, Raw: slices.Clone(raw)}
	bad := func(err error) *Token {
		t.Problem = err
		if !errors.Is(err, ErrTokenUnsupported) {
			t.Problem = fmt.Errorf("%w: %v", ErrToken, err)
		}
		return t
	}
	if len(raw) > maxTokenSize {
		return bad(fmt.Errorf("%d bytes", len(raw)))
	}
	var base tokenBase
	if err := decodeStrict(raw, &base, false); err != nil {
		return bad(err)
	}
	if base.Type == "" || len(base.Type) > 64 {
		return bad(errors.New("no type"))
	}
	t.Type = base.Type
	slots, err := parseSlotList(base.Keyslots)
	if err != nil {
		return bad(err)
	}
	t.Slots = slots
	switch {
	case t.Type == typeTPM2:
		if t.TPM2, err = ParseTPM2(raw); err != nil {
			return bad(err)
		}
	case t.Type == typeUnlock:
		if t.Unlock, err = ParseUnlock(raw); err != nil {
			return bad(err)
		}
	case simpleTokens[t.Type] != "":
		var only tokenBase // and nothing else
		if err := decodeStrict(raw, &only, true); err != nil {
			return bad(err)
		}
	}
	return t
}

func parseSlotList(names []string) ([]int, error) {
	if len(names) > maxSlot+1 {
		return nil, errors.New("too many key slots")
	}
	slots := []int{}
	for _, name := range names {
		n, err := index(name, maxSlot)
		if err != nil {
			return nil, fmt.Errorf("keyslots: %v", err)
		}
		if slices.Contains(slots, n) {
			return nil, fmt.Errorf("keyslots: %d is given twice", n)
		}
		slots = append(slots, n)
	}
	return slots, nil
}

// encodeSimple makes a token that only says which kind a slot is of.
func encodeSimple(typ string, slot int) []byte {
	b, err := json.Marshal(tokenBase{Type: typ, Keyslots: []string{fmt.Sprint(slot)}})
	if err != nil {
		panic(err) // two strings always encode
	}
	return b
}

// UnlockToken is the stek-unlock token: the order in which methods are tried, and
// what the management keeps for itself.
type UnlockToken struct {
	// Methods in the order to try them, such as tpm2, passphrase. The recovery
	// key is always tried last and is not in the list.
	Methods []Kind
	// Generation is the highest generation given to a TPM slot so far.
	Generation uint64
	// Adding are slots being added: one that still has no token when the volume
	// is looked at again was cut off, and its key is lost, so Tidy removes it.
	Adding []int
}

// unlockMethods are the words that may stand in UnlockToken.Methods.
var unlockMethods = []Kind{KindTPM2, KindPassphrase, KindKeyStick, "tang", "board"}

type unlockJSON struct {
	Type       string   `json:"type"`
	Keyslots   []string `json:"keyslots"`
	Methods    []Kind   `json:"methods"`
	Generation uint64   `json:"generation"`
	Adding     []int    `json:"adding,omitempty"`
}

// ParseUnlock decodes a stek-unlock token. The token is untrusted: at worst it
// can make the box ask for the recovery key sooner.
func ParseUnlock(raw []byte) (*UnlockToken, error) {
	var j unlockJSON
	if err := decodeStrict(raw, &j, true); err != nil {
		return nil, err
	}
	if j.Type != typeUnlock {
		return nil, errors.New("not a stek-unlock token")
	}
	if len(j.Keyslots) != 0 {
		return nil, errors.New("keyslots: the unlock order belongs to no slot")
	}
	u := &UnlockToken{Generation: j.Generation}
	if j.Generation > 1<<53 {
		return nil, errors.New("generation: out of bounds")
	}
	for _, m := range j.Methods {
		if !slices.Contains(unlockMethods, m) || slices.Contains(u.Methods, m) {
			return nil, fmt.Errorf("methods: %.32q is not known or given twice", m)
		}
		u.Methods = append(u.Methods, m)
	}
	for _, s := range j.Adding {
		if s < 0 || s > maxSlot || slices.Contains(u.Adding, s) {
			return nil, errors.New("adding: not a list of slots")
		}
		u.Adding = append(u.Adding, s)
	}
	return u, nil
}

// Encode gives the token's JSON.
func (u UnlockToken) Encode() ([]byte, error) {
	methods := u.Methods
	if methods == nil {
		methods = []Kind{}
	}
	b, err := json.Marshal(unlockJSON{Type: typeUnlock, Keyslots: []string{}, Methods: methods, Generation: u.Generation, Adding: u.Adding})
	if err != nil {
		return nil, fmt.Errorf("encoding the unlock order: %w", err)
	}
	if _, err := ParseUnlock(b); err != nil {
		return nil, fmt.Errorf("encoding the unlock order: %w", err)
	}
	return b, nil
}
