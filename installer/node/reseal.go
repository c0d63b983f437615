package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"strings"

	"github.com/stek-edge/stek/firmware/secureboot"
	"github.com/stek-edge/stek/installer/tpm"
	"github.com/stek-edge/stek/installer/vault"
)

// Resealing is what a new TPM key of a running node is bound to.
type Resealing struct {
	Policy tpm.Policy
	Words  string // what the values are, for the person
}

// Resealing plans a new TPM key: bound to what this start saw, or, where somebody has
// changed the firmware's Secure Boot variables since (an update of dbx), to what the
// next start will see. The key that opens the disk now stays until the new one has.
func (f *Facts) Resealing() (Resealing, error) {
	log, err := os.ReadFile(secureboot.EventLog)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Resealing{}, fmt.Errorf("reading the firmware's event log: %w", err)
	}
	return f.resealing(log, secureboot.EFIVars)
}

func (f *Facts) resealing(log []byte, efivars string) (Resealing, error) {
	seen := f.Unlocked
	words := "what this start measured"
	if len(log) > 0 {
		pcr7, err := secureboot.PredictPCR7(log, efivars)
		switch {
		case err != nil:
			return Resealing{}, err
		case string(pcr7.Now[:]) != string(seen.PCRs[7]):
			words += " (the firmware's event log does not lead to PCR 7, so nothing can be predicted)"
		case len(pcr7.Changed) > 0:
			seen.PCRs = maps.Clone(seen.PCRs)
			seen.PCRs[7] = pcr7.Next[:]
			words = "what the next start will measure, since " + strings.Join(pcr7.Changed, ", ") + " changed in the firmware"
		}
	}
	policy, err := seen.FinalPolicy()
	return Resealing{policy, words}, err
}

// AfterKeyChange writes the header's backup on the boot partition anew: a key slot was
// added or removed, and an old backup would bring the old keys back.
func (f *Facts) AfterKeyChange(ctx context.Context) error {
	return f.backUpHeader(ctx, &vault.Manager{Device: f.Unlocked.Device})
}
