package vault

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/stek-edge/stek/installer/tpm"
)

// TPM2Token is a systemd-tpm2 token: a secret sealed by a TPM, whose base64 text
// is the passphrase of a key slot. The format is that of systemd 257
// (tpm2_make_luks2_json); stock tools read it and ignore the keys that
// begin with "stek-".
type TPM2Token struct {
	Slot       int // -1 when its slot was removed
	Sealed     tpm.Sealed
	Generation uint64 // 0 for tokens of other tools
	State      State  // empty for tokens of other tools
	System     string // the root it is for; empty for every one
}

// tpm2JSON has systemd's keys in systemd's order; the mix of - and _ is theirs.
type tpm2JSON struct {
	Type       string          `json:"type"`
	Keyslots   []string        `json:"keyslots"`
	Blob       json.RawMessage `json:"tpm2-blob"`        // base64 of TPM2B_PRIVATE ‖ TPM2B_PUBLIC
	PCRs       []int           `json:"tpm2-pcrs"`        // those with literal values
	Bank       string          `json:"tpm2-pcr-bank"`    // sha256
	PrimaryAlg string          `json:"tpm2-primary-alg"` // ecc | rsa
	PolicyHash json.RawMessage `json:"tpm2-policy-hash"` // hex
	PIN        bool            `json:"tpm2-pin"`
	Pcrlock    bool            `json:"tpm2_pcrlock,omitempty"`
	PubkeyPCRs []int           `json:"tpm2_pubkey_pcrs,omitempty"`
	Pubkey     string          `json:"tpm2_pubkey,omitempty"` // base64 of PEM
	Salt       string          `json:"tpm2_salt,omitempty"`   // base64
	SRK        string          `json:"tpm2_srk,omitempty"`    // base64, see tpm.Sealed
	PcrlockNV  json.RawMessage `json:"tpm2_pcrlock_nv,omitempty"`
	Generation uint64          `json:"stek-generation,omitempty"`
	State      State           `json:"stek-state,omitempty"`
	System     string          `json:"stek-system,omitempty"`
	// Values are the literal PCR values in hex, by PCR number. They decide
	// nothing: with them a failed unlock can name the PCR that changed.
	Values map[string]string `json:"stek-pcr-values,omitempty"`
}

// Encode gives the token's JSON.
func (t TPM2Token) Encode() ([]byte, error) {
	s := t.Sealed
	blob, err := json.Marshal(s.Blob)
	if err != nil {
		return nil, fmt.Errorf("encoding the TPM token: %w", err)
	}
	j := tpm2JSON{
		Type: typeTPM2, Keyslots: []string{}, Blob: blob, PCRs: s.PCRs, Bank: s.Bank, PrimaryAlg: s.PrimaryAlg,
		PolicyHash: json.RawMessage(strconv.Quote(hex.EncodeToString(s.PolicyHash))), PIN: s.PIN,
		Salt: base64.StdEncoding.EncodeToString(s.Salt), SRK: base64.StdEncoding.EncodeToString(s.SRK),
		Generation: t.Generation, State: t.State, System: t.System,
	}
	for n, value := range s.Values {
		if j.Values == nil {
			j.Values = map[string]string{}
		}
		j.Values[strconv.Itoa(n)] = hex.EncodeToString(value)
	}
	if t.Slot >= 0 {
		j.Keyslots = []string{strconv.Itoa(t.Slot)}
	}
	if j.PCRs == nil {
		j.PCRs = []int{} // systemd demands the key, also when empty
	}
	if s.Signed != nil {
		der, err := x509.MarshalPKIXPublicKey(s.Signed.Key)
		if err != nil {
			return nil, fmt.Errorf("encoding the policy key: %w", err)
		}
		j.Pubkey = base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
		j.PubkeyPCRs = s.Signed.PCRs
	}
	b, err := json.Marshal(j)
	if err != nil {
		return nil, fmt.Errorf("encoding the TPM token: %w", err)
	}
	// What we write must pass our own checks, or the box locks itself out.
	if _, err := ParseTPM2(b); err != nil {
		return nil, fmt.Errorf("encoding the TPM token: %w", err)
	}
	return b, nil
}

// ParseTPM2 decodes a systemd-tpm2 token, written here or by systemd 252 and
// newer. The token is untrusted input: a TPM checks what it is given, but sizes
// and numbers are bounded here first. Unknown keys are allowed, since newer
// versions of systemd add some; those known to change the policy give
// ErrTokenUnsupported.
func ParseTPM2(raw []byte) (*TPM2Token, error) {
	var j tpm2JSON
	if err := decodeStrict(raw, &j, false); err != nil {
		return nil, err
	}
	if j.Type != typeTPM2 {
		return nil, errors.New("not a systemd-tpm2 token")
	}
	if j.Pcrlock || isGiven(j.PcrlockNV) {
		return nil, fmt.Errorf("%w: tpm2_pcrlock", ErrTokenUnsupported)
	}
	// Two blobs are a secret in two shares (systemd 257 with a pcrlock and a
	// signed policy at once).
	if isList(j.Blob) || isList(j.PolicyHash) {
		return nil, fmt.Errorf("%w: a secret in several shares", ErrTokenUnsupported)
	}
	slots, err := parseSlotList(j.Keyslots)
	if err != nil {
		return nil, err
	}
	t := &TPM2Token{Slot: -1, Generation: j.Generation, State: j.State, System: j.System}
	switch len(slots) {
	case 0:
	case 1:
		t.Slot = slots[0]
	default:
		return nil, errors.New("keyslots: more than one")
	}
	if t.Generation > 1<<53 {
		return nil, errors.New("stek-generation: out of bounds")
	}
	if !slices.Contains([]State{"", StateProvisional, StateCandidate, StateBound}, t.State) {
		return nil, fmt.Errorf("stek-state: %.16q is not known", t.State)
	}
	if t.System != "" && (len(t.System) > 32 || !plainKey(t.System)) {
		return nil, errors.New("stek-system: not a plain word")
	}
	return t, j.sealed(&t.Sealed)
}

// sealed checks what goes to the TPM.
func (j *tpm2JSON) sealed(s *tpm.Sealed) error {
	var err error
	if j.PCRs == nil {
		return errors.New("tpm2-pcrs: missing")
	}
	if s.PCRs, err = checkPCRs(j.PCRs); err != nil {
		return fmt.Errorf("tpm2-pcrs: %v", err)
	}
	if s.Bank = j.Bank; s.Bank != "sha256" {
		// sha1 can be forged; sha384 banks are read by nothing here.
		return fmt.Errorf("%w: tpm2-pcr-bank %.16q", ErrTokenUnsupported, j.Bank)
	}
	if s.PrimaryAlg = j.PrimaryAlg; s.PrimaryAlg != "ecc" && s.PrimaryAlg != "rsa" {
		return fmt.Errorf("tpm2-primary-alg: %.16q", j.PrimaryAlg)
	}
	s.PIN = j.PIN
	var blob, hash string
	if json.Unmarshal(j.Blob, &blob) != nil || json.Unmarshal(j.PolicyHash, &hash) != nil {
		return errors.New("tpm2-blob or tpm2-policy-hash: not a text")
	}
	if s.Blob, err = bytesOf(blob, 8, 4096); err != nil {
		return fmt.Errorf("tpm2-blob: %v", err)
	}
	if s.PolicyHash, err = hex.DecodeString(hash); err != nil || len(s.PolicyHash) != 32 {
		return errors.New("tpm2-policy-hash: not 32 bytes of hex")
	}
	if s.Salt, err = bytesOf(j.Salt, 0, 64); err != nil {
		return fmt.Errorf("tpm2_salt: %v", err)
	}
	if s.SRK, err = bytesOf(j.SRK, 0, 1024); err != nil {
		return fmt.Errorf("tpm2_srk: %v", err)
	}
	for name, text := range j.Values {
		n, err := index(name, 23)
		value, hexErr := hex.DecodeString(text)
		if err != nil || hexErr != nil || len(value) != 32 || !slices.Contains(s.PCRs, n) {
			return fmt.Errorf("stek-pcr-values: %.16q is not a literal PCR with 32 bytes", name)
		}
		if s.Values == nil {
			s.Values = tpm.PCRs{}
		}
		s.Values[n] = value
	}
	if j.Pubkey == "" {
		if len(j.PubkeyPCRs) != 0 {
			return errors.New("tpm2_pubkey_pcrs: without a key")
		}
		return nil
	}
	key, err := policyKey(j.Pubkey)
	if err != nil {
		return fmt.Errorf("tpm2_pubkey: %v", err)
	}
	pcrs, err := checkPCRs(j.PubkeyPCRs)
	if err != nil || len(pcrs) == 0 {
		return errors.New("tpm2_pubkey_pcrs: not a list of PCRs")
	}
	s.Signed = &tpm.Signed{Key: key, PCRs: pcrs}
	return nil
}

func isGiven(raw json.RawMessage) bool { return len(raw) != 0 && string(raw) != "null" }
func isList(raw json.RawMessage) bool  { return len(raw) != 0 && raw[0] == '[' }

// checkPCRs returns the list sorted: systemd takes it as a set.
func checkPCRs(list []int) ([]int, error) {
	pcrs := slices.Clone(list)
	slices.Sort(pcrs)
	for i, n := range pcrs {
		if n < 0 || n > 23 || (i > 0 && pcrs[i-1] == n) {
			return nil, fmt.Errorf("%d is not a PCR or is given twice", n)
		}
	}
	return pcrs, nil
}

// bytesOf decodes base64 text of lowest to highest bytes; nil for empty text.
func bytesOf(text string, lowest, highest int) ([]byte, error) {
	if base64.StdEncoding.DecodedLen(len(text)) > highest+2 {
		return nil, errors.New("too long")
	}
	b, err := decodeBase64(text)
	if err != nil {
		return nil, err
	}
	if len(b) < lowest || len(b) > highest {
		return nil, fmt.Errorf("%d bytes", len(b))
	}
	if len(b) == 0 {
		return nil, nil
	}
	return b, nil
}

// policyKey decodes the key that signs PCR policies: RSA of 2048 to 4096 bits
// with exponent 65537, the only kind that systemd-measure makes.
func policyKey(text string) (*rsa.PublicKey, error) {
	b, err := bytesOf(text, 1, 4096)
	if err != nil {
		return nil, err
	}
	block, rest := pem.Decode(b)
	if block == nil || block.Type != "PUBLIC KEY" || len(rest) != 0 {
		return nil, errors.New("not one PEM public key")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, errors.New("not a public key")
	}
	key, ok := parsed.(*rsa.PublicKey)
	if !ok || key.E != 65537 || key.N.BitLen() < 2048 || key.N.BitLen() > 4096 {
		return nil, errors.New("not RSA of 2048 to 4096 bits")
	}
	return key, nil
}

// passphraseOf is the passphrase of a TPM slot: the padded standard base64 of its
// secret, as systemd-cryptenroll makes it.
func passphraseOf(secret []byte) []byte {
	b := make([]byte, base64.StdEncoding.EncodedLen(len(secret)))
	base64.StdEncoding.Encode(b, secret)
	return b
}
