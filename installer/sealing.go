package installer

import (
	"fmt"

	"github.com/stek-edge/stek/firmware/uki"
	"github.com/stek-edge/stek/installer/tpm"
)

// How a key is sealed into the TPM.
const (
	// SealSigned is used when Secure Boot is on: a signed policy over PCR 11, which any
	// image of the same builder satisfies, with PCR 7, 12 and 15.
	SealSigned = "signed"
	// SealProvisional is for the first start from the disk: PCR 7, 11, 12 and 15. That
	// start binds the key to PCR 4 too, which differs between stick and disk.
	SealProvisional = "provisional"
	// SealFinal is PCR 4, 7, 11, 12 and 15, as the first start from the disk saw them.
	SealFinal = "final"
)

// outside are the PCRs that are zero while the disk may be opened: 12 takes what was
// handed to systemd-stub from outside the UKI (command lines, credentials), 15 which
// volume was opened (UAPI group, Linux TPM PCR Registry).
func outside() tpm.PCRs {
	return tpm.PCRs{12: make([]byte, 32), 15: make([]byte, 32)}
}

// SignedPolicy is the policy of SealSigned. The key is the one that the UKI carries.
func SignedPolicy(image *uki.Image, pcr7 []byte) (tpm.Policy, error) {
	key, err := image.PCRPublicKey()
	if err != nil {
		return tpm.Policy{}, fmt.Errorf("reading the PCR key of the UKI: %w", err)
	}
	literal := outside()
	literal[7] = pcr7
	return tpm.Policy{Signed: &tpm.Signed{Key: key, PCRs: []int{11}}, Literal: literal}, nil
}

// provisionalPolicy is the policy of SealProvisional. PCR 11 cannot be read in the
// installer, where stage1 has capped it, so it is predicted from the UKI.
func provisionalPolicy(image *uki.Image, pcr7 []byte) (tpm.Policy, error) {
	predicted, err := image.PredictPCR11(uki.PhaseEnterInitrd)
	if err != nil {
		return tpm.Policy{}, fmt.Errorf("predicting what the UKI will measure: %w", err)
	}
	literal := outside()
	literal[7], literal[11] = pcr7, predicted[:]
	return tpm.Policy{Literal: literal}, nil
}

// FinalPolicy is the policy of SealFinal. seen are the PCRs that stage1 read while
// the disk could be opened.
func FinalPolicy(seen tpm.PCRs) (tpm.Policy, error) {
	literal := outside()
	for _, n := range []int{4, 7, 11} {
		if len(seen[n]) != 32 {
			return tpm.Policy{}, fmt.Errorf("PCR %d was not read at this start", n)
		}
		literal[n] = seen[n]
	}
	return tpm.Policy{Literal: literal}, nil
}
