package powercut

import (
	"context"

	"github.com/stek-edge/stek/firmware/uki"
	"github.com/stek-edge/stek/installer/tpm"
)

// MeasureStart extends into a TPM what firmware, boot loader, systemd-stub and stage1
// measure before a volume is opened, as far as keys are bound to it. It is the same in
// the recorded box and where its states are looked at.
func MeasureStart(ctx context.Context, chip *tpm.Device, image *uki.Image) error {
	for pcr, event := range map[int]string{4: "boot loader", 7: "firmware"} {
		if err := chip.Extend(ctx, pcr, []byte(event)); err != nil {
			return err
		}
	}
	measurements, err := image.Measurements()
	if err != nil {
		return err
	}
	for _, m := range append(measurements, []byte(uki.PhaseEnterInitrd)) {
		if err := chip.Extend(ctx, 11, m); err != nil {
			return err
		}
	}
	return nil
}
