package stage1

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/stek-edge/stek/installer/tpm"
)

const (
	tpmDevice = "/dev/tpmrm0" // the TPM that opens the disk
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
	for !exists(s.device) {
		if !exists("/sys/class/tpm/tpm0") && !s.isNode() {
			return nil // an installer on a machine without one
		}
		if time.Now().After(deadline) {
			return nil // each unlock method that needs it says so
		}
		s.modules.coldplug("/sys", s.seen, func(error) {})
		time.Sleep(50 * time.Millisecond)
	}
	chip, err := s.open(s.device)
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

// capPCRs makes every TPM of the machine refuse what was sealed to this phase, to
// everything that runs from here on. It is called on every way out and does its work
// once for each TPM. A TPM whose driver came after the wait for it opened nothing, and
// neither did a second one, but their doors are open all the same: the kernel numbers
// the TPMs in the order in which it finds them, so the one that knows the key may be
// the second today.
func (s *stage1) capPCRs(ctx context.Context) error {
	var errs []error
	for _, device := range s.tpms() {
		if s.closed[device] {
			continue
		}
		var absent *tpm.NoDeviceError
		switch err := s.capTPM(ctx, device); {
		case errors.As(err, &absent):
		case err != nil:
			errs = append(errs, &openDoorError{device, err})
		default:
			s.closed[device] = true
		}
	}
	return errors.Join(errs...)
}

// capTPM closes one TPM. PCR 15 takes the identity of the volume where this TPM has seen
// one opened; otherwise it takes a word of its own, so that a later volume cannot pass
// for the first. A chip that has failed is closed as it is: see enter.
func (s *stage1) capTPM(ctx context.Context, device string) (err error) {
	chip := s.chip
	if device != s.device || chip == nil {
		if chip, err = s.open(device); err != nil {
			return err
		}
		if device == s.device {
			s.chip = chip
		} else {
			defer chip.Close()
		}
	}
	if device != s.device || !s.volumeMeasured {
		err = chip.Extend(ctx, pcrSystem, []byte(wordNoVolume))
	}
	err = errors.Join(err, chip.Extend(ctx, pcrKernelBoot, []byte(wordLeave)))
	var failed *tpm.FailedError
	if errors.As(err, &failed) {
		if device == s.device {
			s.chip, s.failed = nil, failed
		}
		return nil
	}
	return err
}

// tpmDevices returns the device file of each TPM 2.0 that the kernel has found so far.
func tpmDevices() []string {
	devices, _ := filepath.Glob("/dev/tpmrm[0-9]*") // the pattern is good
	return devices
}

// openDoorError is a TPM that does not take the last measurement of stage1.
type openDoorError struct {
	device string
	err    error
}

func (e *openDoorError) Error() string {
	return fmt.Sprintf("closing the door of the TPM %s behind the initramfs: %v", e.device, e.err)
}

func (e *openDoorError) Unwrap() error { return e.err }

func (e *openDoorError) Remedy() string {
	return "take the power away for a minute; if it stays, switch this TPM off in the firmware settings, and start with the recovery key if it was the one that opened the disk"
}
