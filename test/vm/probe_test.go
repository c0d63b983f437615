package vm

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
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

// A guest that never speaks, with a real QEMU: what a KVM looks like that exists and
// hangs. The verdict comes in time, and QEMU is gone.
func TestHangingGuestIsGivenUp(t *testing.T) {
	mute := filepath.Join(t.TempDir(), "vmlinuz")
	// The header of a Linux kernel (Documentation/arch/x86/boot.rst), and after it
	// nothing but jumps on the spot.
	image := bytes.Repeat([]byte{0xeb, 0xfe}, 32<<10)
	clear(image[0x1f1:0x268])
	image[0x1f1] = 1                        // setup_sects
	copy(image[0x1fe:], "\x55\xaa\xeb\xfe") // boot_flag, jump
	copy(image[0x202:], "HdrS\x0b\x02")     // header, version 2.11
	image[0x211] = 1                        // loadflags: LOADED_HIGH
	copy(image[0x22c:], "\xff\xff\xff\x0f") // initrd_addr_max
	if err := os.WriteFile(mute, image, 0o600); err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	err := probe(t.Context(), TCG, mute, 3*time.Second)
	took := time.Since(started)
	if err == nil || !strings.Contains(err.Error(), "does not start a guest within 3s") {
		t.Errorf("the verdict is %v", err)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the guest did not hang: %v", err)
	}
	if took > probeGrace {
		t.Errorf("it took %v", took)
	}
	if left := Children(); len(left) > 0 {
		t.Errorf("the probe left %v", left)
	}
}

func TestChoose(t *testing.T) {
	device := filepath.Join(t.TempDir(), "kvm")
	if err := os.WriteFile(device, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	kernel := func(context.Context) (string, error) { return "vmlinuz", nil }
	works := func(context.Context, string) error { return nil }
	never := make(chan struct{})
	defer close(never)
	tests := []struct {
		name, env, device string
		kernel            func(context.Context) (string, error)
		probe             func(context.Context, string) error
		want              Accel
		reason            string // part of it
	}{
		{"the probe guest starts", "", device, kernel, works, KVM, "has started"},
		{"no KVM here", "", device + "-not", nil, nil, TCG, "no such file"},
		{"KVM is refused", "", filepath.Dir(device), nil, nil, TCG, "is a directory"},
		{"the probe fails", "", device, kernel, func(context.Context, string) error { return errors.New("QEMU ended") }, TCG, "QEMU ended"},
		{"the probe hangs", "", device, kernel, func(ctx context.Context, _ string) error {
			return bounded(ctx, 50*time.Millisecond, func(context.Context) error { <-never; return nil })
		}, TCG, "hangs; given up after 50ms"},
		{"no kernel for the probe", "", device, func(context.Context) (string, error) { return "", os.ErrNotExist }, works, TCG, "no kernel to try KVM with"},
		{"emulation is asked for", "tcg", device, nil, nil, TCG, AccelEnv},
		{"KVM is asked for", "kvm", device, nil, nil, KVM, AccelEnv},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv(AccelEnv, test.env)
			got, reason, err := choose(t.Context(), test.device, test.kernel, test.probe)
			if err != nil || got != test.want || !strings.Contains(reason, test.reason) {
				t.Errorf("chose %q (%s), error %v; want %q (%s)", got, reason, err, test.want, test.reason)
			}
		})
	}
	t.Run("the caller gives up", func(t *testing.T) {
		t.Setenv(AccelEnv, "")
		ctx, cancel := context.WithCancel(t.Context())
		_, _, err := choose(ctx, device, kernel, func(ctx context.Context, _ string) error {
			cancel()
			return bounded(ctx, time.Minute, func(context.Context) error { <-never; return nil })
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want that of the context", err)
		}
	})
}
