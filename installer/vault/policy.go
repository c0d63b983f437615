package vault

import (
	"crypto/rsa"
	"fmt"
	"maps"

	"github.com/stek-edge/stek/installer/tpm"
)

// BoundPCRs are the PCRs that a key of ours may be bound to: what firmware started
// (4), Secure Boot's state and keys (7), the UKI and the phase of the start (11),
// what was handed to the UKI from outside (12), and which volume was opened (15).
// UAPI group, Linux TPM PCR Registry.
var BoundPCRs = []int{4, 7, 11, 12, 15}

// outside are the PCRs that are zero while the volume may be opened.
func outside() tpm.PCRs {
	return tpm.PCRs{12: make([]byte, 32), 15: make([]byte, 32)}
}

// SignedPolicy is the policy for a box with Secure Boot: any PCR 11 that the key has
// signed, so that an update by the same builder opens the volume too, with PCR 7, 12
// and 15.
func SignedPolicy(key *rsa.PublicKey, pcr7 []byte) tpm.Policy {
	literal := outside()
	literal[7] = pcr7
	return tpm.Policy{Signed: &tpm.Signed{Key: key, PCRs: []int{11}}, Literal: literal}
}

// ProvisionalPolicy is the installer's policy for the first start from the disk. It
// leaves out PCR 4, which differs between stick and disk; pcr11 is predicted.
func ProvisionalPolicy(pcr7, pcr11 []byte) tpm.Policy {
	literal := outside()
	literal[7], literal[11] = pcr7, pcr11
	return tpm.Policy{Literal: literal}
}

// FinalPolicy is what a start binds a key to, from the values of BoundPCRs that it
// saw while the volume could be opened. signer is the key that signed the PCR 11 of
// the started UKI; it counts only under Secure Boot, without which anybody can start
// that UKI with another loader before it.
func FinalPolicy(seen tpm.PCRs, secureBoot bool, signer *rsa.PublicKey) (tpm.Policy, error) {
	bound := []int{4, 7, 11}
	if secureBoot && signer != nil {
		bound = []int{7}
	}
	for _, n := range bound {
		if len(seen[n]) != 32 {
			return tpm.Policy{}, fmt.Errorf("PCR %d was not read at this start", n)
		}
	}
	if secureBoot && signer != nil {
		return SignedPolicy(signer, seen[7]), nil
	}
	policy := ProvisionalPolicy(seen[7], seen[11])
	policy.Literal[4] = seen[4]
	return policy, nil
}

// Renewed is the policy of a TPM slot with other values for the PCRs that it is
// bound to literally.
func (s *Slot) Renewed(values tpm.PCRs) (tpm.Policy, error) {
	if s.tpm2 == nil {
		return tpm.Policy{}, ErrNoSlot
	}
	sealed := s.tpm2.Sealed
	policy := tpm.Policy{Signed: sealed.Signed, Literal: tpm.PCRs{}, PIN: sealed.PIN}
	for _, n := range sealed.PCRs {
		if len(values[n]) != 32 {
			return tpm.Policy{}, fmt.Errorf("PCR %d of slot %d was not read", n, s.ID)
		}
		policy.Literal[n] = values[n]
	}
	return policy, nil
}

// SameValues tells whether a TPM slot is bound to these very values already.
func (s *Slot) SameValues(p tpm.Policy) bool {
	if s.tpm2 == nil {
		return false
	}
	same := func(a, b []byte) bool { return string(a) == string(b) }
	return maps.EqualFunc(s.tpm2.Sealed.Values, p.Literal, same)
}
