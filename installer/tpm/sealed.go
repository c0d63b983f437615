package tpm

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// Sealed is a secret sealed to this TPM: the content of a "systemd-tpm2" LUKS2 token,
// except for the key slot numbers. All of it is public, and untrusted when read back.
type Sealed struct {
	Blob       []byte  // tpm2-blob: TPM2B_PRIVATE ‖ TPM2B_PUBLIC
	SRK        []byte  // tpm2_srk: u32 handle ‖ TPM2B_NAME ‖ u32 1 ‖ TPM2B_PUBLIC; empty: older form, see PrimaryAlg
	PolicyHash []byte  // tpm2-policy-hash, 32 bytes
	PCRs       []int   // tpm2-pcrs: the literal ones
	Signed     *Signed // tpm2_pubkey, tpm2_pubkey_pcrs
	PIN        bool    // tpm2-pin
	Salt       []byte  // tpm2_salt: for the PIN; empty: older form
	PrimaryAlg string  // tpm2-primary-alg: "ecc" or "rsa"
	Bank       string  // tpm2-pcr-bank: "sha256"

	// Values are the literal PCR values that were sealed to. No token field holds them;
	// keep them beside it to name the PCR that changed. Nothing is decided with them.
	Values PCRs
}

// object splits Blob, and checks that it is a sealed object with the policy that the
// other fields say: a token whose parts contradict each other is refused.
func (s *Sealed) object() (private, publicArea []byte, pub *tpm2.TPMTPublic, err error) {
	private, rest, ok := cut2B(s.Blob)
	if ok {
		publicArea, rest, ok = cut2B(rest)
	}
	if !ok || len(rest) != 0 {
		return nil, nil, nil, errors.New("the token's tpm2-blob is damaged: wrong length")
	}
	if pub, err = parsePublic(publicArea); err != nil {
		return nil, nil, nil, fmt.Errorf("the token's tpm2-blob is damaged: %w", err)
	}
	switch {
	case pub.Type != tpm2.TPMAlgKeyedHash:
		err = errors.New("the token's tpm2-blob is not a sealed secret")
	case pub.NameAlg != tpm2.TPMAlgSHA256:
		err = errors.New("the token's tpm2-blob does not use SHA-256")
	case !bytes.Equal(pub.AuthPolicy.Buffer, s.PolicyHash):
		err = errors.New("the token is damaged: tpm2-blob and tpm2-policy-hash differ")
	case pub.ObjectAttributes.UserWithAuth:
		err = errors.New("the token's tpm2-blob may be unsealed without its policy")
	case s.Bank != "" && s.Bank != "sha256":
		err = fmt.Errorf("the token uses the PCR bank %q; only sha256 is supported", s.Bank)
	}
	return private, publicArea, pub, err
}

// policy is the policy of s with the given literal values.
func (s *Sealed) policy(now PCRs) Policy {
	p := Policy{Signed: s.Signed, PIN: s.PIN}
	if len(s.PCRs) > 0 {
		p.Literal = PCRs{}
		for _, n := range s.PCRs {
			p.Literal[n] = now[n]
		}
	}
	return p
}

// exponent finds the form of the signing key's name under which a policy has the digest
// of s; ok is false if there is none.
func (s *Sealed) exponent(p Policy) (e uint32, ok bool, err error) {
	for _, e := range []uint32{defaultExponent, zeroExponent} {
		digest, err := p.digest(e)
		if err != nil {
			return 0, false, err
		}
		if bytes.Equal(digest, s.PolicyHash) {
			return e, true, nil
		}
	}
	return 0, false, nil
}
