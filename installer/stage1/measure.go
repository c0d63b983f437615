package stage1

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/stek-edge/stek/installer/tpm"
)

const (
	tpmDevice = "/dev/tpmrm0"
	// The PCRs and words of the UAPI group's Linux TPM PCR registry and of
	// systemd-pcrphase(8), which stock tools understand.
	pcrKernelBoot = 11
	pcrSystem     = 15
	wordEnter     = "enter-initrd"
	wordLeave     = "leave-initrd"
	wordNoVolume  = "stek:no-volume"
)

// openTPM waits for the TPM, if the machine has one, and says in PCR 11 that the
// initramfs runs. systemd-stub leaves that to the initramfs.
func (s *stage1) openTPM(ctx context.Context) error {
	deadline := time.Now().Add(waitForTPM)
	for !exists(tpmDevice) {
		if !exists("/sys/class/tpm/tpm0") && !s.isNode() {
			return nil // an installer on a machine without one
		}
		if time.Now().After(deadline) {
			return nil // each unlock method that needs it says so
		}
		s.modules.coldplug("/sys", s.seen, func(error) {})
		time.Sleep(50 * time.Millisecond)
	}
	chip, err := tpm.Open(tpmDevice)
	if err != nil {
		s.console.Say("the TPM does not answer: %v", err)
		return nil
	}
	return s.enter(ctx, chip)
}

// enter measures the start of the initramfs. A chip that says it has failed gives
// nothing to anybody until it loses its power (TPM 2.0 part 1, section 12.4), so it is
// no reason to keep a person with the recovery key out.
func (s *stage1) enter(ctx context.Context, chip *tpm.Device) error {
	err := chip.Extend(ctx, pcrKernelBoot, []byte(wordEnter))
	if errors.As(err, &s.failed) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("measuring the start of the initramfs: %w", err)
	}
	s.chip = chip
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// capPCRs makes the TPM refuse what was sealed to this phase, to everything that
// runs from here on. It is called on every way out and does its work once. PCR 15
// takes the identity of the volume where one was opened; without one it takes a
// word of its own, so that a later volume cannot pass for the first. A TPM whose
// driver came after the wait for it opened nothing, but its door is open all the same.
func (s *stage1) capPCRs(ctx context.Context) error {
	if s.capped || s.failed != nil {
		return nil
	}
	if s.chip == nil {
		var absent *tpm.NoDeviceError
		chip, err := s.lateTPM()
		if errors.As(err, &absent) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("closing the TPM's door behind the initramfs: %w", err)
		}
		s.chip = chip
	}
	var errs []error
	if !s.volumeMeasured {
		errs = append(errs, s.chip.Extend(ctx, pcrSystem, []byte(wordNoVolume)))
	}
	errs = append(errs, s.chip.Extend(ctx, pcrKernelBoot, []byte(wordLeave)))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("closing the TPM's door behind the initramfs: %w", err)
	}
	s.capped = true
	return nil
}
