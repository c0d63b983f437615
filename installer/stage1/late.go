package stage1

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/stek-edge/stek/installer/tpm"
)

// TPMClosedFile says that stage1 left the TPM closed: there was one, and PCR 11 is capped.
const TPMClosedFile = "/run/stek/tpm-closed"

// CloseTPM does for a TPM that came after stage1 had gone what stage1 does on its way
// out: nothing on this system can then have what was sealed to the initramfs. The file
// note, TPMClosedFile on a machine, keeps it from being done twice.
//
// A unit calls it as soon as udev announces the chip, in the installer too. Loading every
// TPM driver in stage1 instead would not be enough: some chips sit behind an SPI or I2C
// controller whose driver is in the root alone, and a probe that the kernel has put off
// ends when it ends.
func CloseTPM(ctx context.Context, chip *tpm.Device, note string) error {
	s := &stage1{chip: chip}
	err := s.capPCRs(ctx)
	if !errors.As(err, &s.failed) && err != nil { // a failed chip gives nothing to anybody: see enter
		return err
	}
	return s.noteTPM(note)
}

// noteTPM writes the note where the TPM is closed. Without a TPM there is nothing to say.
func (s *stage1) noteTPM(note string) error {
	if !s.capped && s.failed == nil {
		return nil
	}
	if err := os.WriteFile(note, nil, 0o644); err != nil {
		return fmt.Errorf("noting that the TPM is closed: %w", err)
	}
	return nil
}
