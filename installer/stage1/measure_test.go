package stage1

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
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
	closedForWhatRuns(t, open)
}

// TestTPMAfterStage1 is about a TPM that the running system gets to see first.
func TestTPMAfterStage1(t *testing.T) {
	emu := swtpm.Start(t)
	open := func() (*tpm.Device, error) { return tpm.Open("swtpm:" + emu.Socket) }
	chip, err := open()
	if err != nil {
		t.Fatal(err)
	}
	defer chip.Close()
	note := filepath.Join(t.TempDir(), "tpm-closed")
	if err := CloseTPM(t.Context(), chip, note); err != nil {
		t.Fatal(err)
	}
	closedForWhatRuns(t, open)
	if _, err := os.Stat(note); err != nil {
		t.Error(err)
	}

	// A chip that does not take the measurement is not noted as closed.
	emu.Stop()
	note += "-not"
	if err := CloseTPM(t.Context(), chip, note); err == nil {
		t.Error("a TPM that is gone was closed")
	}
	if _, err := os.Stat(note); err == nil {
		t.Error("it was noted as closed")
	}
}

// closedForWhatRuns checks that stage1's last words are in PCR 11 and 15.
func closedForWhatRuns(t *testing.T, open func() (*tpm.Device, error)) {
	t.Helper()
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
