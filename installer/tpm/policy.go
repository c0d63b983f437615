package tpm

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// Signed is the half of a policy that allows every set of PCR values signed by a key.
type Signed struct {
	Key  *rsa.PublicKey // public exponent 65537
	PCRs []int
}

// Policy says when an object may be unsealed. Its parts are checked in this order:
// Signed (PolicyAuthorize), Literal (PolicyPCR), PIN (PolicyAuthValue).
type Policy struct {
	Signed  *Signed
	Literal PCRs // exact values of the SHA-256 bank
	PIN     bool
}

// Digest is the policy digest, as an object's authPolicy holds it (part 1, section 19.7).
func (p Policy) Digest() ([]byte, error) { return p.digest(defaultExponent) }

// Exponents under which a key with exponent 65537 may be named. 0 stands for the default,
// which is 65537 too, but gives the key another name (part 2, section 12.2.3.5).
const (
	defaultExponent = 65537
	zeroExponent    = 0
)

func (p Policy) digest(exponent uint32) ([]byte, error) {
	calc, err := tpm2.NewPolicyCalculator(tpm2.TPMAlgSHA256)
	if err != nil {
		return nil, err
	}
	if p.Signed != nil {
		key, err := p.Signed.object(exponent)
		if err != nil {
			return nil, err
		}
		name, err := tpm2.ObjectName(&key)
		if err != nil {
			return nil, err
		}
		if err := (tpm2.PolicyAuthorize{KeySign: *name}).Update(calc); err != nil {
			return nil, err
		}
	}
	if len(p.Literal) > 0 {
		if err := p.Literal.check(); err != nil {
			return nil, err
		}
		if err := policyPCR(p.Literal).Update(calc); err != nil {
			return nil, err
		}
	}
	if p.PIN {
		if err := (tpm2.PolicyAuthValue{}).Update(calc); err != nil {
			return nil, err
		}
	}
	return calc.Hash().Digest, nil
}

// PCRPolicyDigest is the digest of PolicyPCR alone over the values: what a PCR signature
// signs. It is nil if a value has not 32 bytes or there is no such PCR.
func PCRPolicyDigest(values PCRs) []byte {
	digest, err := Policy{Literal: values}.Digest()
	if err != nil {
		return nil
	}
	return digest
}

func (p PCRs) check() error {
	if _, err := pcrSet(p.Numbers()); err != nil {
		return err
	}
	for _, n := range p.Numbers() {
		if len(p[n]) != sha256.Size {
			return fmt.Errorf("the value of PCR %d has %d bytes, not 32", n, len(p[n]))
		}
	}
	return nil
}

// policyPCR is the command for exactly these values.
func policyPCR(values PCRs) tpm2.PolicyPCR {
	h := sha256.New()
	for _, n := range values.Numbers() {
		h.Write(values[n])
	}
	return tpm2.PolicyPCR{
		PcrDigest: tpm2.TPM2BDigest{Buffer: h.Sum(nil)},
		Pcrs:      selection(values.Numbers()),
	}
}

// object is the signing key as a TPM object: RSA, decrypt|sign|userWithAuth, no schemes;
// the form systemd gives it, which its name, and so the policy, depends on.
func (s *Signed) object(exponent uint32) (tpm2.TPMTPublic, error) {
	if err := checkSigningKey(s.Key); err != nil {
		return tpm2.TPMTPublic{}, err
	}
	if _, err := pcrSet(s.PCRs); err != nil {
		return tpm2.TPMTPublic{}, err
	}
	null := tpm2.TPMTSymDefObject{Algorithm: tpm2.TPMAlgNull}
	return tpm2.TPMTPublic{
		Type:             tpm2.TPMAlgRSA,
		NameAlg:          tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{Decrypt: true, SignEncrypt: true, UserWithAuth: true},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgRSA, &tpm2.TPMSRSAParms{
			Symmetric: null,
			Scheme:    tpm2.TPMTRSAScheme{Scheme: tpm2.TPMAlgNull},
			KeyBits:   tpm2.TPMKeyBits(s.Key.N.BitLen()),
			Exponent:  exponent,
		}),
		Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{Buffer: s.Key.N.Bytes()}),
	}, nil
}

func checkSigningKey(key *rsa.PublicKey) error {
	switch {
	case key == nil || key.N == nil:
		return errors.New("the policy has no signing key")
	case key.E != defaultExponent:
		return fmt.Errorf("the signing key has the public exponent %d, not 65537", key.E)
	case key.N.BitLen() < 2048 || key.N.BitLen() > 4096 || key.N.BitLen()%8 != 0:
		return fmt.Errorf("the signing key has %d bits; it must have 2048 to 4096", key.N.BitLen())
	}
	return nil
}

// Fingerprint is the pkfp of a signature file: SHA-256 of the key in PKCS#1 DER.
func Fingerprint(key *rsa.PublicKey) []byte {
	sum := sha256.Sum256(x509.MarshalPKCS1PublicKey(key))
	return sum[:]
}

// PCRs that hold zeros on a good boot: 12 (nothing was handed to the stub from outside)
// and 15 (no volume was opened before).
var zeroIsMeaningful = map[int]bool{12: true, 15: true}

// Reasons of a PCRValueError.
const (
	whyZeros = "it is all zeros, so nothing was measured into it"
	whyOnes  = "it is all ones, so it was never started"
	whyReset = "any program may reset it"
)

// sealable refuses a policy that does not bind to what a real boot leaves behind.
func (p Policy) sealable() error {
	bound := p.Signed != nil && len(p.Signed.PCRs) > 0
	if p.Signed != nil && !bound {
		return errors.New("refusing to seal: the signed policy covers no PCR")
	}
	numbers := p.Literal.Numbers()
	if p.Signed != nil {
		numbers = append(numbers, p.Signed.PCRs...)
	}
	for _, n := range numbers {
		if n == 16 || n == 23 { // debug and application PCRs (PC Client TPM Profile, table 9)
			return &PCRValueError{PCR: n, Why: whyReset}
		}
	}
	if err := p.Literal.check(); err != nil {
		return err
	}
	for _, n := range p.Literal.Numbers() {
		v := p.Literal[n]
		switch {
		case bytes.Equal(v, bytes.Repeat([]byte{0xff}, len(v))):
			return &PCRValueError{PCR: n, Why: whyOnes}
		case bytes.Equal(v, make([]byte, len(v))) && !zeroIsMeaningful[n]:
			return &PCRValueError{PCR: n, Why: whyZeros}
		}
		bound = bound || !zeroIsMeaningful[n]
	}
	if !bound {
		return errors.New("refusing to seal: the policy binds to no PCR that is measured at boot, so any system started on this box could unseal")
	}
	return nil
}

func sha256Sum(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:]
}
