package installer

import (
	"fmt"

	"github.com/stek-edge/stek/firmware/uki"
	"github.com/stek-edge/stek/installer/tpm"
	"github.com/stek-edge/stek/installer/vault"
)

// How the installer seals a key into the TPM.
const (
	// SealSigned is used when Secure Boot is on and the image is signed for it: it
	// holds from the first start on. See vault.SignedPolicy.
	SealSigned = "signed"
	// SealProvisional is for the first start from the disk, which then binds the key to
	// what it saw. See vault.ProvisionalPolicy and vault.FinalPolicy.
	SealProvisional = "provisional"
)

// sealTo is the policy for the system on the stick. PCR 11 cannot be read in the
// installer, where stage1 has capped it: it is predicted from the UKI on the stick,
// the same file that the disk gets.
func sealTo(sealing string, image *uki.Image, pcr7 []byte) (tpm.Policy, error) {
	if sealing == SealSigned {
		key, err := image.PCRPublicKey()
		if err != nil {
			return tpm.Policy{}, fmt.Errorf("reading the PCR key of the UKI: %w", err)
		}
		return vault.SignedPolicy(key, pcr7), nil
	}
	predicted, err := image.PredictPCR11(uki.PhaseEnterInitrd)
	if err != nil {
		return tpm.Policy{}, fmt.Errorf("predicting what the UKI will measure: %w", err)
	}
	return vault.ProvisionalPolicy(pcr7, predicted[:]), nil
}
