package stage1

import (
	"bytes"
	"io/fs"
	"testing"

	"github.com/stek-edge/stek/installer/tpm"
	"github.com/stek-edge/stek/test/swtpm"
)

// TestLateTPMIsCapped: a TPM that was not there when the disk was to be opened, and is
// there when stage1 leaves, does not unseal for what runs later.
func TestLateTPMIsCapped(t *testing.T) {
	emu := swtpm.Start(t)
	open := func() (*tpm.Device, error) { return tpm.Open("swtpm:" + emu.Socket) }
	s := &stage1{lateTPM: func() (*tpm.Device, error) { return nil, &tpm.NoDeviceError{Spec: tpmDevice, Err: fs.ErrNotExist} }}
	if err := s.capPCRs(t.Context()); err != nil || s.capped {
		t.Fatalf("without a TPM: capped %v, %v", s.capped, err)
	}
	s.lateTPM = open
	for range 2 { // the second time there is nothing left to do
		if err := s.capPCRs(t.Context()); err != nil || !s.capped {
			t.Fatalf("with a late TPM: capped %v, %v", s.capped, err)
		}
	}
	chip, err := open()
	if err != nil {
		t.Fatal(err)
	}
	defer chip.Close()
	now, err := chip.ReadPCRs(t.Context(), pcrKernelBoot, pcrSystem)
	if err != nil {
		t.Fatal(err)
	}
	for pcr, word := range map[int]string{pcrKernelBoot: wordLeave, pcrSystem: wordNoVolume} {
		if !bytes.Equal(now[pcr], tpm.ReplayPCR(nil, []byte(word))) {
			t.Errorf("PCR %d is %x", pcr, now[pcr])
		}
	}
}
