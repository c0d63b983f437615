package uki

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"slices"
)

// PCRSignature is one signed PCR policy, as systemd-measure(1) writes it and
// systemd-cryptsetup reads it.
type PCRSignature struct {
	PCRs []int `json:"pcrs"`
	// Fingerprint is the hex SHA-256 of the public key in PKCS#1 DER.
	Fingerprint string `json:"pkfp"`
	// Policy is the hex digest of the TPM policy that was signed.
	Policy string `json:"pol"`
	// Signature is RSASSA-PKCS1-v1_5 with SHA-256 over the policy digest.
	Signature []byte `json:"sig"`
}

// PCRSignatures is the content of .pcrsig and of
// /.extra/tpm2-pcr-signature.json, by hash bank ("sha256").
type PCRSignatures map[string][]PCRSignature

// maxSignatureJSON bounds a .pcrsig section; a file with a dozen phases, banks
// and keys stays far below.
const maxSignatureJSON = 1 << 20

// Constants of the TPM 2.0 Library specification, part 2.
const (
	tpmCCPolicyPCR = 0x0000017f
	tpmAlgSHA256   = 0x000b
)

// PolicyPCR is the digest of a TPM policy that asks for this value of PCR 11
// in the SHA-256 bank and for nothing else (TPM 2.0 Library, part 3,
// TPM2_PolicyPCR): H(zeros ‖ command code ‖ PCR selection ‖ H(PCR value)).
func PolicyPCR(pcr11 PCR) [sha256.Size]byte {
	var b bytes.Buffer
	b.Write(make([]byte, sha256.Size))
	for _, v := range []any{uint32(tpmCCPolicyPCR), uint32(1), uint16(tpmAlgSHA256)} {
		// Writing fixed-size integers to a buffer cannot fail.
		_ = binary.Write(&b, binary.BigEndian, v)
	}
	b.Write([]byte{3, 0, 1 << (PCR11 - 8), 0}) // three bytes of bit map, PCR 0 first
	values := sha256.Sum256(pcr11[:])
	b.Write(values[:])
	return sha256.Sum256(b.Bytes())
}

// Fingerprint is how a signature names its key: the SHA-256 of the public key
// in PKCS#1 DER form.
func Fingerprint(key *rsa.PublicKey) [sha256.Size]byte {
	return sha256.Sum256(x509.MarshalPKCS1PublicKey(key))
}

func rsa2048(key crypto.PublicKey) (*rsa.PublicKey, error) {
	public, ok := key.(*rsa.PublicKey)
	if !ok || public.N.BitLen() != 2048 {
		return nil, errors.New("the PCR signing key must be RSA with 2048 bits; TPMs need not support others")
	}
	return public, nil
}

func publicKeyPEM(key crypto.PublicKey) ([]byte, error) {
	public, err := rsa2048(key)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("encoding the PCR public key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// signPCR11 makes the content of .pcrsig: the policy for the value that PCR 11
// has in PhaseEnterInitrd, signed.
func (i *Image) signPCR11(key crypto.Signer) ([]byte, error) {
	public, err := rsa2048(key.Public())
	if err != nil {
		return nil, err
	}
	pcr, err := i.PredictPCR11(PhaseEnterInitrd)
	if err != nil {
		return nil, err
	}
	policy := PolicyPCR(pcr)
	digest := sha256.Sum256(policy[:])
	signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("signing the predicted PCR 11: %w", err)
	}
	fingerprint := Fingerprint(public)
	return json.Marshal(PCRSignatures{"sha256": {{
		PCRs:        []int{PCR11},
		Fingerprint: hex.EncodeToString(fingerprint[:]),
		Policy:      hex.EncodeToString(policy[:]),
		Signature:   signature,
	}}})
}

// PCRPublicKey is the key inside the image whose signatures a TPM is to
// accept; nil without an error if the image has none.
func (i *Image) PCRPublicKey() (*rsa.PublicKey, error) {
	text := i.text(sectionPCRPKey)
	if text == "" {
		return nil, nil
	}
	key, err := ParsePCRPublicKey([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("reading the %s section: %w", sectionPCRPKey, err)
	}
	return key, nil
}

// ParsePCRPublicKey reads such a key where systemd-stub put it:
// /.extra/tpm2-pcr-public-key.pem (systemd-stub(7)).
func ParsePCRPublicKey(text []byte) (*rsa.PublicKey, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, errors.New("not a PEM public key")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	return rsa2048(key)
}

// PCRSignatures is the content of the .pcrsig section; nil without an error if
// the image has none.
func (i *Image) PCRSignatures() (PCRSignatures, error) {
	data := i.section(sectionPCRSig)
	if data == nil {
		return nil, nil
	}
	return ParsePCRSignatures(bytes.NewReader(data))
}

// ParsePCRSignatures reads the JSON of a .pcrsig section or of
// /.extra/tpm2-pcr-signature.json, at most 1 MiB of it.
func ParsePCRSignatures(r io.Reader) (PCRSignatures, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxSignatureJSON+1))
	if err != nil {
		return nil, fmt.Errorf("reading PCR signatures: %w", err)
	}
	if len(data) > maxSignatureJSON {
		return nil, fmt.Errorf("reading PCR signatures: more than %d bytes", maxSignatureJSON)
	}
	var signatures PCRSignatures
	// Some builders fill the section up with NULs.
	if err := json.Unmarshal(bytes.TrimRight(data, "\x00"), &signatures); err != nil {
		return nil, fmt.Errorf("reading PCR signatures: %w", err)
	}
	return signatures, nil
}

// Find returns the SHA-256 signature of that key over the policy for that
// value of PCR 11, after verifying it. The second result is false if no valid
// one is there.
func (s PCRSignatures) Find(key *rsa.PublicKey, pcr11 PCR) (PCRSignature, bool) {
	policy, fingerprint := PolicyPCR(pcr11), Fingerprint(key)
	digest := sha256.Sum256(policy[:])
	for _, sig := range s["sha256"] {
		if slices.Equal(sig.PCRs, []int{PCR11}) &&
			sig.Policy == hex.EncodeToString(policy[:]) &&
			sig.Fingerprint == hex.EncodeToString(fingerprint[:]) &&
			rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], sig.Signature) == nil {
			return sig, true
		}
	}
	return PCRSignature{}, false
}
