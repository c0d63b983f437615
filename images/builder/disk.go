package builder

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/stek-edge/stek/firmware/secureboot"
	"github.com/stek-edge/stek/images/component"
	"github.com/stek-edge/stek/images/esp"
	"github.com/stek-edge/stek/images/layout"
)

// disk writes the image file, under its name only when it is whole.
func (o *Options) disk(ctx context.Context, boot *firmwareFiles, made *madeRoot, keys *secureboot.Keys) error {
	hash, err := hex.DecodeString(made.Verity.RootHash)
	if err != nil {
		return err
	}
	enrol, err := o.enrolment(keys)
	if err != nil {
		return err
	}
	source, err := os.Open(made.Image)
	if err != nil {
		return err
	}
	defer source.Close()
	out, err := os.CreateTemp(filepath.Dir(o.Output), ".stek-image-*")
	if err != nil {
		return fmt.Errorf("writing the image: %w", err)
	}
	defer os.Remove(out.Name())
	defer out.Close()
	started := time.Now()
	_, err = layout.WriteStick(ctx, out, layout.Stick{
		ESP:  esp.Content{Arch: o.Arch, Version: o.Version, BootLoader: boot.loader, UKI: boot.image, Keys: enrol},
		Root: source, RootSize: made.Verity.Size, RootHash: hash, Time: o.Epoch,
	}, func(done, total int64) {
		o.Report.Send(component.Progress{Task: "writing the image", Unit: "bytes", Done: done, Total: total, Elapsed: time.Since(started)})
	})
	if err != nil {
		return err
	}
	if err := out.Chmod(0o644); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return os.Rename(out.Name(), o.Output)
}

// enrolment makes the two sets of Secure Boot variables that the installer chooses
// between.
func (o *Options) enrolment(keys *secureboot.Keys) (map[string]map[string][]byte, error) {
	sets := map[string]map[string][]byte{}
	for set, without := range map[string]bool{esp.KeysAuto: false, esp.KeysOwn: true} {
		v, err := keys.Variables(secureboot.VariableOptions{Time: o.Epoch, WithoutMicrosoft: without})
		if err != nil {
			return nil, err
		}
		sets[set] = v.Files()
	}
	return sets, nil
}
