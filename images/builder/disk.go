package builder

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/stek-edge/stek/firmware/secureboot"
	"github.com/stek-edge/stek/images/component"
	"github.com/stek-edge/stek/images/esp"
	"github.com/stek-edge/stek/images/layout"
)

// diskFormat changes when the same inputs are to give another image file.
const diskFormat = "1"

// wrote is what is remembered about an image file after it was written.
type wrote struct {
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"` // bytes
}

// disk writes the image file, under its name only when it is whole. A file that is
// there already with just these bytes is left alone.
func (o *Options) disk(ctx context.Context, boot *firmwareFiles, made *madeRoot, keys *secureboot.Keys, result *Result) error {
	enrol, err := o.enrolment(keys)
	if err != nil {
		return err
	}
	var known wrote
	fresh := false
	_, err = o.store("image").get(ctx, o.diskKey(boot, made, enrol), &known, func(string) error {
		fresh = true
		known, err = o.writeDisk(ctx, boot, made, enrol)
		return err
	})
	if err != nil {
		return err
	}
	result.SHA256 = known.SHA256
	if fresh {
		return nil
	}
	if info, err := os.Stat(o.Output); err == nil && info.Size() == known.Size {
		is, err := digest(ctx, o.Output, o.Report)
		if err != nil {
			return err
		}
		if is == known.SHA256 {
			result.Unchanged = true
			return nil
		}
	}
	again, err := o.writeDisk(ctx, boot, made, enrol)
	if err == nil && again != known {
		err = fmt.Errorf("the image came out with the SHA-256 %s and had %s when it was made of the same parts before", again.SHA256, known.SHA256)
	}
	return err
}

func (o *Options) diskKey(boot *firmwareFiles, made *madeRoot, enrol map[string]map[string][]byte) string {
	parts := []any{diskFormat, o.self, o.Arch, o.Version, made.Verity, o.Epoch.Unix(), boot.loader, boot.image}
	for _, set := range slices.Sorted(maps.Keys(enrol)) {
		for _, name := range slices.Sorted(maps.Keys(enrol[set])) {
			parts = append(parts, set, name, enrol[set][name])
		}
	}
	return keyOf(parts...)
}

// writeDisk writes the image file and reads it back.
func (o *Options) writeDisk(ctx context.Context, boot *firmwareFiles, made *madeRoot, enrol map[string]map[string][]byte) (wrote, error) {
	hash, err := hex.DecodeString(made.Verity.RootHash)
	if err != nil {
		return wrote{}, err
	}
	source, err := os.Open(made.Image)
	if err != nil {
		return wrote{}, err
	}
	defer source.Close()
	out, err := os.CreateTemp(filepath.Dir(o.Output), ".stek-image-*")
	if err != nil {
		return wrote{}, fmt.Errorf("writing the image: %w", err)
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
		return wrote{}, err
	}
	info, err := out.Stat()
	if err := errors.Join(err, out.Chmod(0o644), out.Close()); err != nil {
		return wrote{}, fmt.Errorf("writing the image: %w", err)
	}
	sum, err := digest(ctx, out.Name(), o.Report)
	if err != nil {
		return wrote{}, fmt.Errorf("reading the image back: %w", err)
	}
	return wrote{sum, info.Size()}, os.Rename(out.Name(), o.Output)
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
