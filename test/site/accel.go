package site

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/stek-edge/stek/firmware/uki"
	"github.com/stek-edge/stek/images/builder"
	"github.com/stek-edge/stek/images/esp"
	"github.com/stek-edge/stek/test/vm"
)

// chooseAccel settles how the site's machines run: under KVM if a probe guest with the
// image's own kernel has started under it, otherwise emulated. Processor says which,
// and why.
func (s *Site) chooseAccel(ctx context.Context) error {
	accel, reason, err := vm.Choose(ctx, s.ProbeKernel)
	if err != nil {
		return err
	}
	s.Machine.Accel = accel
	s.Processor = map[vm.Accel]string{vm.KVM: "KVM", vm.TCG: "emulated (TCG)"}[accel] + ": " + reason
	return nil
}

// ProbeKernel takes the kernel out of the image and returns its path.
func (s *Site) ProbeKernel(context.Context) (string, error) {
	raw, err := builder.ReadFile(s.Image, esp.Kernel("a", 0))
	if err != nil {
		return "", err
	}
	image, err := uki.Parse(raw)
	if err != nil {
		return "", fmt.Errorf("reading the kernel of %s: %w", s.Image, err)
	}
	file := filepath.Join(s.Dir, "probe-vmlinuz")
	return file, os.WriteFile(file, image.Kernel(), 0o600)
}
