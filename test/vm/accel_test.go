package vm_test

import (
	"testing"
	"time"

	"github.com/stek-edge/stek/test/testimage"
	"github.com/stek-edge/stek/test/vm"
)

// Whether KVM works differs between machines; that the question is answered in bounded
// time, once, and leaves nothing behind must hold on all of them.
func TestProbeKVMEnds(t *testing.T) {
	t.Setenv(vm.AccelEnv, "")
	kernel, err := testimage.TestKernel(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	first := vm.ProbeKVM(t.Context(), kernel.Image)
	t.Logf("KVM: %v, after %v", first, time.Since(started))
	if took := time.Since(started); took > 25*time.Second {
		t.Errorf("the probe took %v", took)
	}
	if left := vm.Children(); len(left) > 0 {
		t.Errorf("the probe left %v", left)
	}
	started = time.Now()
	second := vm.ProbeKVM(t.Context(), kernel.Image)
	if (first == nil) != (second == nil) || time.Since(started) > 5*time.Second {
		t.Errorf("the second answer is %v after %v, want the first one again at once", second, time.Since(started))
	}
}

func TestAccelFromEnvironment(t *testing.T) {
	tests := []struct {
		value string
		fails bool
	}{{"tcg", true}, {"kvm", false}, {"xen", true}}
	for _, test := range tests {
		t.Run(test.value, func(t *testing.T) {
			t.Setenv(vm.AccelEnv, test.value)
			if err := vm.ProbeKVM(t.Context(), "/nonexistent"); (err != nil) != test.fails {
				t.Errorf("ProbeKVM: %v, want an error: %v", err, test.fails)
			}
		})
	}
}
