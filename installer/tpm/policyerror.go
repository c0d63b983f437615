package tpm

import (
	"fmt"
	"strings"
)

// PolicyReason says which half of a policy does not hold.
type PolicyReason string

const (
	// NoSignature: no signature of the key is there for the present values of the signed
	// PCRs. The boot chain changed, or the moment for unsealing has passed.
	NoSignature PolicyReason = "no signature for the present boot"
	// ForeignSignatures: there are signatures, but none by the key of the policy: the
	// image comes from another builder.
	ForeignSignatures PolicyReason = "the signatures are by another key"
	// ValuesChanged: a literal PCR has another value than at sealing time.
	ValuesChanged PolicyReason = "a PCR changed"
	// TokenChanged: every literal PCR is known to be as at sealing time, and still the
	// digests differ: a field of the token was changed.
	TokenChanged PolicyReason = "the token was changed"
)

// PolicyError: the TPM is the right one, but the state of the boot is not.
type PolicyError struct {
	Reason PolicyReason
	PCRs   []int // the PCRs in question: signed ones, or literal ones
	Now    PCRs  // their present values
	Then   PCRs  // their values at sealing time, as far as known
}

// Changed lists the PCRs that have another value than at sealing time; nil if that is not
// known.
func (e *PolicyError) Changed() []int { return e.Then.Changed(e.Now) }

func (e *PolicyError) Error() string {
	numbers, sep := e.Changed(), " changed"
	if len(numbers) == 0 {
		numbers, sep = e.PCRs, ""
	}
	return fmt.Sprintf("the TPM's policy does not hold: %s (PCR %s%s)", e.Reason, joinInts(numbers), sep)
}

// Remedy names the PCRs and what usually changes them.
func (e *PolicyError) Remedy() string {
	if e.Reason == TokenChanged {
		return "open the disk with the recovery key and enrol the TPM again; ask who could write to this disk"
	}
	numbers := e.Changed()
	if len(numbers) == 0 {
		numbers = e.PCRs
	}
	var causes []string
	for _, n := range numbers {
		causes = append(causes, fmt.Sprintf("PCR %d is %s", n, UsualCause(n)))
	}
	return strings.Join(causes, "; ") + ". If this change was meant, open the disk with the recovery key and enrol the TPM again; if not, look at the box first"
}

func joinInts(list []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(list), " ", ", "), "[]")
}

// changed is the error for literal values that do not give the policy of s.
func (s *Sealed) changed(now PCRs) *PolicyError {
	e := &PolicyError{Reason: ValuesChanged, PCRs: s.PCRs, Now: now, Then: s.Values}
	if len(s.Values) > 0 && len(e.Changed()) == 0 {
		e.Reason = TokenChanged
	}
	return e
}
