package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/stek-edge/stek/test/testimage"
)

// Accel is how QEMU runs the guest's processor.
type Accel string

// The accelerators.
const (
	Auto Accel = ""    // KVM when ProbeKVM has proved it, otherwise TCG
	TCG  Accel = "tcg" // emulation, on any machine
	KVM  Accel = "kvm" // the host's own virtualisation
)

// AccelEnv names the environment variable that decides for Auto: "tcg" or "kvm".
const AccelEnv = "STEK_VM_ACCEL"

// probeLimit is far more than a kernel needs under KVM (about a second) and far less
// than it needs under anything that only claims to be KVM. A probe that does not even
// end after that is given up after probeGrace more.
const (
	probeLimit = 12 * time.Second
	probeGrace = 8 * time.Second
)

// kvmDevice is how programs get at KVM.
const kvmDevice = "/dev/kvm"

func (a Accel) args() []string {
	if a == KVM {
		return []string{"-accel", "kvm", "-cpu", "host"}
	}
	return []string{"-accel", "tcg,thread=multi", "-cpu", "max"}
}

// verdict is what the probe found; it holds for the life of this program.
var verdict struct {
	sync.Mutex
	known bool
	err   error // nil: KVM works
}

// ProbeKVM tells whether KVM works here, by starting a guest with the given kernel
// (vmlinuz) and waiting until its user space speaks. It returns nil when KVM works, and
// otherwise why it does not. It takes at most 20 seconds, and asks only once: the
// verdict is remembered for Auto and for later calls. $STEK_VM_ACCEL overrules it.
func ProbeKVM(ctx context.Context, kernel string) error {
	switch forced, err := forcedAccel(); {
	case err != nil:
		return err
	case forced == KVM:
		return nil
	case forced == TCG:
		return fmt.Errorf("KVM is not used: %s=tcg", AccelEnv)
	}
	verdict.Lock()
	defer verdict.Unlock()
	if verdict.known {
		return verdict.err
	}
	err := bounded(ctx, probeLimit+probeGrace, func(ctx context.Context) error { return probe(ctx, KVM, kernel, probeLimit) })
	if ctx.Err() != nil {
		return err // says nothing about KVM
	}
	verdict.known, verdict.err = true, err
	return err
}

// Choose decides once for a whole program: KVM if a probe guest has really started under
// it, otherwise TCG. reason says why, for one line to a person. kernel gives the vmlinuz
// for the probe; it is asked for only where there is a KVM to try. The error is about
// $STEK_VM_ACCEL or the end of ctx, never about KVM.
func Choose(ctx context.Context, kernel func(context.Context) (string, error)) (accel Accel, reason string, err error) {
	return choose(ctx, kvmDevice, kernel, ProbeKVM)
}

func choose(ctx context.Context, device string, kernel func(context.Context) (string, error), probe func(ctx context.Context, kernel string) error) (Accel, string, error) {
	switch forced, err := forcedAccel(); {
	case err != nil:
		return Auto, "", err
	case forced != Auto:
		return forced, AccelEnv + " asks for it", nil
	}
	if err := openable(device); err != nil {
		return TCG, err.Error(), nil
	}
	image, err := kernel(ctx)
	if err == nil {
		err = probe(ctx, image)
	} else {
		err = fmt.Errorf("there is no kernel to try KVM with: %w", err)
	}
	switch {
	case ctx.Err() != nil:
		return Auto, "", ctx.Err()
	case err != nil:
		return TCG, err.Error(), nil
	}
	return KVM, "a probe guest has started under it", nil
}

func openable(device string) error {
	f, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("KVM cannot be used: %w", err)
	}
	return f.Close()
}

// bounded waits for do no longer than limit, even if do does not heed the end of its
// context: a process that hangs inside a broken KVM cannot be killed and waited for.
func bounded(ctx context.Context, limit time.Duration, do func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- do(limited) }()
	select {
	case err := <-done:
		return err
	case <-limited.Done():
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("the probe guest hangs; given up after %v", limit)
	}
}

// forcedAccel reads $STEK_VM_ACCEL.
func forcedAccel() (Accel, error) {
	switch value := Accel(os.Getenv(AccelEnv)); value {
	case Auto, TCG, KVM:
		return value, nil
	default:
		return Auto, fmt.Errorf("%s=%s: want tcg or kvm", AccelEnv, value)
	}
}

// resolve decides for Auto. A machine that starts a kernel directly brings the kernel
// for the probe with it; the others use KVM only if the program has probed before.
func (a Accel) resolve(ctx context.Context, kernel string) (Accel, error) {
	if a != Auto {
		return a, nil
	}
	if forced, err := forcedAccel(); err != nil || forced != Auto {
		return forced, err
	}
	verdict.Lock()
	known, works := verdict.known, verdict.err == nil
	verdict.Unlock()
	if !known && kernel != "" {
		works = ProbeKVM(ctx, kernel) == nil
		known = true
	}
	if known && works {
		return KVM, nil
	}
	return TCG, ctx.Err()
}

// probe boots the smallest guest there is under an accelerator.
func probe(ctx context.Context, accel Accel, kernel string, limit time.Duration) error {
	if accel == KVM {
		if err := openable(kvmDevice); err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp("", "stek-probe-")
	if err != nil {
		return fmt.Errorf("probing %s: %w", accel, err)
	}
	defer os.RemoveAll(dir)
	tree := testimage.NewTree()
	tree.AddBytes("/init", 0o755, testimage.ProbeInit())
	initrd := filepath.Join(dir, "initrd")
	if err := tree.WriteFile(initrd); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	box, err := Machine{
		Dir: dir, Memory: 256, CPUs: 1, Accel: accel, NoReboot: true,
		Kernel: kernel, Initrd: initrd, Cmdline: "console=ttyS0 panic=-1",
	}.PowerOn(limited)
	if err == nil {
		_, err = box.Console.Expect(limited, testimage.ProbeLine)
		err = errors.Join(err, box.Close())
	}
	if err != nil {
		return fmt.Errorf("%s does not start a guest within %v: %w", accel, limit, err)
	}
	return nil
}
