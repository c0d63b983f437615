package stage1

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/stek-edge/stek/installer/tpm"
)

// TPMClosedDir has a file for each TPM that was left closed: PCR 11 is capped, or the chip
// has failed. The file has the name of the device ("tpmrm0").
const TPMClosedDir = "/run/stek/tpm-closed"

// CloseTPM does for a TPM that came after stage1 had gone what stage1 does on its way
// out: nothing on this system can then have what was sealed to the initramfs. The device
// is as tpm.Open takes it. A file in the folder notes, TPMClosedDir on a machine, keeps it
// from being done twice.
//
// A unit calls it as soon as udev announces the chip, in the installer too. Loading every
// TPM driver in stage1 instead would not be enough: some chips sit behind an SPI or I2C
// controller whose driver is in the root alone, and a probe that the kernel has put off
// ends when it ends.
func CloseTPM(ctx context.Context, device, notes string) error {
	s := &stage1{tpms: func() []string { return []string{device} }, open: tpm.Open, closed: map[string]bool{}}
	if err := s.capPCRs(ctx); err != nil {
		return err
	}
	return s.noteTPMs(notes)
}

// noteTPMs writes a note for each TPM that is closed.
func (s *stage1) noteTPMs(notes string) error {
	if err := os.MkdirAll(notes, 0o755); err != nil {
		return fmt.Errorf("noting which TPM is closed: %w", err)
	}
	for device := range s.closed {
		if err := os.WriteFile(filepath.Join(notes, filepath.Base(device)), nil, 0o644); err != nil {
			return fmt.Errorf("noting that the TPM %s is closed: %w", device, err)
		}
	}
	return nil
}
