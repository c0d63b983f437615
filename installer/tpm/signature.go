package tpm

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// SignatureFile is systemd's tpm2-pcr-signature.json: PCR policies and their signatures.
// systemd-stub puts it at /.extra/tpm2-pcr-signature.json of the initramfs, where anybody
// who can write to the ESP may have put another one; only the signatures in it count.
// The zero value is an empty file.
type SignatureFile struct {
	entries []signature
}

// signature is one entry of the "sha256" array.
type signature struct {
	pcrs   []int
	pkfp   []byte // Fingerprint of the key
	policy []byte // PCRPolicyDigest
	sig    []byte // RSASSA-PKCS1-v1_5 with SHA-256 over policy
}

// Limits for a file that comes from anywhere. A UKI carries a handful of entries.
const (
	maxSignatureFile = 1 << 20
	maxSignatures    = 1024
)

type jsonSignature struct {
	PCRs []int  `json:"pcrs"`
	PKFP string `json:"pkfp"`
	Pol  string `json:"pol"`
	Sig  string `json:"sig"`
}

// ParseSignatureFile reads a signature file. Banks other than sha256 are left out.
func ParseSignatureFile(b []byte) (*SignatureFile, error) {
	fail := func(err error) (*SignatureFile, error) {
		return nil, fmt.Errorf("reading the PCR signature file: %w", err)
	}
	if len(b) > maxSignatureFile {
		return fail(fmt.Errorf("it has %d bytes; more than %d are not read", len(b), maxSignatureFile))
	}
	// The stub pads the file's section with zero bytes in some versions.
	b = bytes.TrimRight(b, "\x00")
	var banks map[string]json.RawMessage
	if err := json.Unmarshal(b, &banks); err != nil {
		return fail(err)
	}
	var list []jsonSignature
	if raw, ok := banks["sha256"]; ok {
		if err := json.Unmarshal(raw, &list); err != nil {
			return fail(err)
		}
	}
	if len(list) > maxSignatures {
		return fail(fmt.Errorf("it has %d entries; more than %d are not read", len(list), maxSignatures))
	}
	f := &SignatureFile{}
	for i, j := range list {
		s, err := j.decode()
		if err != nil {
			return fail(fmt.Errorf("entry %d: %w", i+1, err))
		}
		f.entries = append(f.entries, s)
	}
	return f, nil
}

func (j jsonSignature) decode() (s signature, err error) {
	if s.pcrs, err = pcrSet(j.PCRs); err != nil {
		return s, err
	}
	if len(s.pcrs) == 0 {
		return s, errors.New("no PCRs")
	}
	if s.pkfp, err = hex.DecodeString(j.PKFP); err != nil || len(s.pkfp) != sha256.Size {
		return s, errors.New("pkfp is not a SHA-256 in hex")
	}
	if s.policy, err = hex.DecodeString(j.Pol); err != nil || len(s.policy) != sha256.Size {
		return s, errors.New("pol is not a SHA-256 in hex")
	}
	if s.sig, err = base64.StdEncoding.DecodeString(j.Sig); err != nil || len(s.sig) < 256 || len(s.sig) > 512 {
		return s, errors.New("sig is not an RSA signature in base64")
	}
	return s, nil
}

// Find returns the signature of key for a policy over the given PCRs, or nil. Its
// signature was verified. A nil file has none.
func (f *SignatureFile) Find(key *rsa.PublicKey, pcrs []int, policy []byte) []byte {
	want, err := pcrSet(pcrs)
	if f == nil || err != nil || checkSigningKey(key) != nil {
		return nil
	}
	pkfp, digest := Fingerprint(key), sha256.Sum256(policy)
	for _, s := range f.entries {
		if slices.Equal(s.pcrs, want) && bytes.Equal(s.pkfp, pkfp) && bytes.Equal(s.policy, policy) &&
			rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], s.sig) == nil {
			return s.sig
		}
	}
	return nil
}

// HasKey tells whether the file has any entry of the key: with one, the image is from the
// right maker and its measurement differs; with none, it is another maker's.
func (f *SignatureFile) HasKey(key *rsa.PublicKey) bool {
	if f == nil || checkSigningKey(key) != nil {
		return false
	}
	pkfp := Fingerprint(key)
	return slices.ContainsFunc(f.entries, func(s signature) bool { return bytes.Equal(s.pkfp, pkfp) })
}

// Sign adds a signature for PolicyPCR over the values.
func (f *SignatureFile) Sign(key crypto.Signer, values PCRs) error {
	pub, ok := key.Public().(*rsa.PublicKey)
	if !ok {
		return errors.New("signing a PCR policy: the key is not an RSA key")
	}
	if err := checkSigningKey(pub); err != nil {
		return fmt.Errorf("signing a PCR policy: %w", err)
	}
	policy := PCRPolicyDigest(values)
	if len(values) == 0 || policy == nil {
		return errors.New("signing a PCR policy: there must be values of 32 bytes")
	}
	digest := sha256.Sum256(policy)
	sig, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return fmt.Errorf("signing a PCR policy: %w", err)
	}
	f.entries = append(f.entries, signature{values.Numbers(), Fingerprint(pub), policy, sig})
	return nil
}

// MarshalJSON writes the file as systemd reads it.
func (f *SignatureFile) MarshalJSON() ([]byte, error) {
	list := []jsonSignature{}
	for _, s := range f.entries {
		list = append(list, jsonSignature{
			s.pcrs, hex.EncodeToString(s.pkfp), hex.EncodeToString(s.policy), base64.StdEncoding.EncodeToString(s.sig),
		})
	}
	return json.Marshal(map[string][]jsonSignature{"sha256": list})
}
