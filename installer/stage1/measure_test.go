package stage1

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stek-edge/stek/installer/tpm"
	"github.com/stek-edge/stek/test/swtpm"
)

// machine is stage1 on a machine whose TPMs, at these sockets, are found one after
// another; the first of them opens its disk.
func machine(t *testing.T, emus ...*swtpm.TPM) (s *stage1, found *[]string) {
	found = new([]string)
	s = &stage1{open: tpm.Open, closed: map[string]bool{}, tpms: func() []string { return *found }}
	if len(emus) > 0 {
		s.device = spec(emus[0])
	}
	t.Cleanup(func() {
		if s.chip != nil {
			s.chip.Close()
		}
	})
	return s, found
}

func spec(emu *swtpm.TPM) string { return "swtpm:" + emu.Socket }

// TestLateTPMIsCapped: a TPM that was not there when the disk was to be opened, and is
// there when stage1 leaves, does not unseal for what runs later.
func TestLateTPMIsCapped(t *testing.T) {
	emu := swtpm.Start(t)
	s, found := machine(t, emu)
	*found = []string{spec(emu) + "-not-yet"}
	if err := s.capPCRs(t.Context()); err != nil || len(s.closed) > 0 {
		t.Fatalf("without a TPM: closed %v, %v", s.closed, err)
	}
	*found = []string{spec(emu)}
	for range 2 { // the second time there is nothing left to do
		if err := s.capPCRs(t.Context()); err != nil || !s.closed[spec(emu)] {
			t.Fatalf("with a late TPM: closed %v, %v", s.closed, err)
		}
	}
	closedForWhatRuns(t, emu)
}

// TestEveryTPMIsCapped: a machine has two TPMs. Which of them is called tpmrm0 may change
// from start to start, and so does which of them stage1 asks for the key.
func TestEveryTPMIsCapped(t *testing.T) {
	for _, c := range []struct {
		name string
		late bool // the other chip is found after the first was closed
	}{{"both at once", false}, {"one after the other", true}} {
		t.Run(c.name, func(t *testing.T) {
			asked, other := swtpm.Start(t), swtpm.Start(t)
			s, found := machine(t, asked, other)
			chip, err := s.open(spec(asked))
			if err != nil {
				t.Fatal(err)
			}
			if err := s.enter(t.Context(), chip); err != nil {
				t.Fatal(err)
			}
			*found = []string{spec(asked)}
			if c.late {
				if err := s.capPCRs(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			*found = append(*found, spec(other))
			if err := s.capPCRs(t.Context()); err != nil {
				t.Fatal(err)
			}
			closedForWhatRuns(t, asked, wordEnter)
			closedForWhatRuns(t, other)
		})
	}
}

func TestNotesOfClosedTPMs(t *testing.T) {
	s := &stage1{closed: map[string]bool{"/dev/tpmrm0": true, "/dev/tpmrm1": true}}
	notes := filepath.Join(t.TempDir(), "tpm-closed")
	if err := s.noteTPMs(notes); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tpmrm0", "tpmrm1"} {
		if _, err := os.Stat(filepath.Join(notes, name)); err != nil {
			t.Error(err)
		}
	}
}

// TestOneTPMThatIsNotClosed: the one that works is closed, and stage1 does not go on with
// the other open.
func TestOneTPMThatIsNotClosed(t *testing.T) {
	asked := swtpm.Start(t)
	s, found := machine(t, asked)
	*found = []string{"/dev/full", spec(asked)}
	err := s.capPCRs(t.Context())
	if err == nil || !strings.Contains(err.Error(), "closing the door of the TPM /dev/full") || remedyOf(err) == "" {
		t.Errorf("got %v, to do: %q", err, remedyOf(err))
	}
	closedForWhatRuns(t, asked)
}

// TestTPMAfterStage1 is about a TPM that the running system gets to see first.
func TestTPMAfterStage1(t *testing.T) {
	emu := swtpm.Start(t)
	notes := filepath.Join(t.TempDir(), "tpm-closed")
	note := filepath.Join(notes, filepath.Base(emu.Socket))
	if err := CloseTPM(t.Context(), spec(emu), notes); err != nil {
		t.Fatal(err)
	}
	closedForWhatRuns(t, emu)
	if _, err := os.Stat(note); err != nil {
		t.Error(err)
	}

	// A chip that does not take the measurement is not noted as closed.
	if err := os.Remove(note); err != nil {
		t.Fatal(err)
	}
	if err := CloseTPM(t.Context(), "/dev/full", notes); err == nil {
		t.Error("what does not answer was closed")
	}
	if entries, err := os.ReadDir(notes); len(entries) > 0 || err != nil {
		t.Errorf("noted as closed: %v, %v", entries, err)
	}
}

// closedForWhatRuns checks that stage1's last words are in PCR 11 and 15, after those
// that PCR 11 had before.
func closedForWhatRuns(t *testing.T, emu *swtpm.TPM, before ...string) {
	t.Helper()
	chip, err := tpm.Open(spec(emu))
	if err != nil {
		t.Fatal(err)
	}
	defer chip.Close()
	now, err := chip.ReadPCRs(t.Context(), pcrKernelBoot, pcrSystem)
	if err != nil {
		t.Fatal(err)
	}
	for pcr, words := range map[int][]string{pcrKernelBoot: append(before, wordLeave), pcrSystem: {wordNoVolume}} {
		var want []byte
		for _, word := range words {
			want = tpm.ReplayPCR(want, []byte(word))
		}
		if !bytes.Equal(now[pcr], want) {
			t.Errorf("PCR %d is %x", pcr, now[pcr])
		}
	}
}
