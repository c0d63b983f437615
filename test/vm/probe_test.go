package vm

import (
	"testing"
	"time"

	"github.com/stek-edge/stek/test/testimage"
)

// Without this, a probe guest that never works would look like a KVM that does not.
func TestProbeGuestStarts(t *testing.T) {
	kernel, err := testimage.TestKernel(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := probe(t.Context(), TCG, kernel.Image, 180*time.Second); err != nil {
		t.Error(err)
	}
}
