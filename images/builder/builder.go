package builder

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/stek-edge/stek/firmware/secureboot"
	"github.com/stek-edge/stek/images/component"
	"github.com/stek-edge/stek/images/k3s"
	"github.com/stek-edge/stek/images/lock"
	"github.com/stek-edge/stek/images/root"
)

// Options say what image is wanted.
type Options struct {
	Arch    string           // amd64
	Version string           // of stek, shown by the image
	Output  string           // the image file to write
	K3s     component.Source // component.Module or component.Release
	Pin     k3s.Pin          // with component.Release
	K3sURL  string           // with component.Release; empty for the project's own
	Stek    string           // the stek program for Arch; empty for the one that runs
	Mirrors []string         // Debian mirrors; empty for those of this machine
	Keys    string           // key directory; made when it is not there
	Cache   string           // kept from build to build
	Lock    string           // components.lock
	Locked  bool             // refuse what is not in the lock
	Epoch   time.Time        // time stamp of everything in the image
	Level   int              // zstd level of the root, 0 for the builder's own choice
	Report  component.Report
	Add     Additions // beside what every image carries
	// AnswersKey is a minisign public key in its text form. An image that carries one
	// takes only answer files that it signed; without one it takes any.
	AnswersKey []byte

	// Digests of the program that builds and of the one that is built in. Whatever
	// else decides the bytes of a result is part of one of them.
	self, program string
}

// DefaultEpoch is the time stamp of an image when nobody asks for another. It is a
// date, not the time of the build, so that images can be compared.
var DefaultEpoch = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// Result tells what was built.
type Result struct {
	Output string `json:"output"`
	SHA256 string `json:"sha256"` // of the image file
	// Unchanged tells that the file was there already, with just these bytes.
	Unchanged bool            `json:"unchanged"`
	Version   string          `json:"version"`
	RootHash  string          `json:"root-hash"`
	K3s       string          `json:"k3s"`
	Sizes     []root.PartSize `json:"sizes"`           // of the root, before it is packed
	RootSize  int64           `json:"root-size"`       // packed, with its hash tree, bytes
	UKISize   int64           `json:"uki-size"`        // bytes
	NewKeys   bool            `json:"new-keys"`        // the key directory was made
	Lock      lock.Difference `json:"lock-difference"` // against the lock before
	Warnings  []string        `json:"warnings,omitempty"`
}

// Build makes an image.
func Build(ctx context.Context, o Options) (*Result, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	var end func()
	o.Report, end = beat(o.Report)
	defer end()
	release, err := o.hold(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	if err := o.identify(ctx); err != nil {
		return nil, err
	}
	keys, fresh, err := secureboot.LoadOrCreate(o.Keys, o.Epoch)
	if err != nil {
		return nil, err
	}
	result := &Result{Output: o.Output, Version: o.Version, NewKeys: fresh}
	resolved, err := o.resolve(ctx)
	if err != nil {
		return nil, err
	}
	parts, err := o.programs(ctx)
	if err != nil {
		return nil, err
	}
	if result.Lock, err = o.checkLock(append(resolved.Components(), parts.locked...)); err != nil {
		return nil, err
	}
	result.K3s = parts.k3sLabel
	base, err := resolved.Bootstrap(ctx)
	if err != nil {
		return nil, err
	}
	tree, closer, err := base.Open()
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	if err := o.keymaps(ctx, base.Key, tree, parts); err != nil {
		return nil, err
	}
	added, err := o.Add.entries(parts.entries)
	if err != nil {
		return nil, err
	}
	parts.entries = append(parts.entries, added...)
	made, err := o.root(ctx, base.Key, tree, parts)
	if err != nil {
		return nil, err
	}
	result.RootHash, result.RootSize, result.Sizes, result.Warnings = made.Verity.RootHash, made.Verity.Size, made.Sizes, made.UnusedRules
	about := osRelease(o.Version, parts.k3sLabel, o.K3s, o.Add.names())
	uki, err := o.uki(ctx, base.Key, tree, made.Verity, about, keys)
	if err != nil {
		return nil, err
	}
	result.UKISize = int64(len(uki.image))
	if err := o.disk(ctx, uki, made, keys, result); err != nil {
		return nil, err
	}
	return result, nil
}

// OptionsError says what was asked for that cannot be built. Nothing was begun.
type OptionsError struct{ error }

func (e *OptionsError) Unwrap() error { return e.error }

func (o *Options) complete() error {
	var missing []error
	if o.Arch != "amd64" {
		missing = append(missing, fmt.Errorf("images for %q are not in this version; use amd64", o.Arch))
	}
	if o.Output == "" {
		missing = append(missing, errors.New("name the image file to write"))
	}
	if o.K3s != component.Module && o.K3s != component.Release {
		missing = append(missing, errors.New("say where k3s is to come from: release for production, module (built from source) for development and tests"))
	}
	if o.K3s == component.Release {
		if err := o.Pin.Check(o.Arch); err != nil {
			missing = append(missing, err)
		}
	}
	if err := o.Add.check(); err != nil {
		missing = append(missing, err)
	}
	if o.Level < 0 || o.Level > root.MaxLevel {
		missing = append(missing, fmt.Errorf("%d is no zstd level; give one from 1 (fast) to %d (small)", o.Level, root.MaxLevel))
	}
	if o.Cache == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			missing = append(missing, fmt.Errorf("no place for the cache: %w", err))
		}
		o.Cache = filepath.Join(dir, "stek")
	}
	if o.Keys == "" {
		missing = append(missing, errors.New("name the folder with the signing keys; it is made when it is not there"))
	}
	if o.Locked && o.Lock == "" {
		missing = append(missing, errors.New("name the lock that nothing may differ from, such as --lock images/components.lock"))
	}
	if o.Stek == "" {
		self, err := os.Executable()
		if err != nil {
			missing = append(missing, err)
		}
		o.Stek = self
	}
	if o.Epoch.IsZero() {
		o.Epoch = DefaultEpoch
	}
	if len(missing) > 0 {
		return &OptionsError{errors.Join(missing...)}
	}
	return nil
}

// identify digests the programs.
func (o *Options) identify(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("looking at the program itself: %w", err)
	}
	if o.self, err = digest(ctx, self, o.Report); err != nil {
		return err
	}
	o.program, err = digest(ctx, o.Stek, o.Report)
	return err
}

// keyOf names a result by what decides its bytes. Each part is written with its
// length, so that no two of them run together.
func keyOf(parts ...any) string {
	h := sha256.New()
	for _, p := range parts {
		text, ok := p.([]byte)
		if !ok {
			text = fmt.Append(nil, p)
		}
		fmt.Fprintf(h, "%d:%s\n", len(text), text)
	}
	return hex.EncodeToString(h.Sum(nil))[:32]
}

// work is the folder for what is being made.
func (o *Options) work() (string, error) {
	dir := filepath.Join(o.Cache, "work")
	return dir, os.MkdirAll(dir, 0o755)
}

func (o *Options) resolve(ctx context.Context) (*root.Resolved, error) {
	mirror := root.Mirror{}
	switch len(o.Mirrors) {
	case 0:
		var err error
		if mirror, err = root.HostMirror(os.DirFS("/")); err != nil {
			return nil, err
		}
	case 1:
		mirror = root.Mirror{Archive: o.Mirrors[0], Security: o.Mirrors[0]}
	default:
		mirror = root.Mirror{Archive: o.Mirrors[0], Security: o.Mirrors[1]}
	}
	packages, err := root.Packages(o.Arch)
	if err != nil {
		return nil, err
	}
	for _, name := range append(k3s.RootPackages(o.K3s), o.Add.Packages...) {
		if !slices.Contains(packages.Install, name) {
			packages.Install = append(packages.Install, name)
		}
	}
	return root.Resolve(ctx, root.Source{
		Arch: o.Arch, Mirror: mirror, Packages: packages, Epoch: o.Epoch, CacheDir: filepath.Join(o.Cache, "debian"), Runner: root.Exec{}, Progress: o.reporter(),
	})
}

// reporter turns the reports of the root's builder into the image's.
func (o *Options) reporter() root.Reporter {
	var task string
	var began time.Time
	return func(p root.Progress) {
		if p.Message != task {
			task, began = p.Message, time.Now()
		}
		o.Report.Send(component.Progress{Task: task, Unit: "bytes", Done: p.Done, Total: p.Total, Elapsed: time.Since(began)})
	}
}

// checkLock compares what was found with the lock. Without Locked the lock is
// written anew and the difference is for the caller to show.
func (o *Options) checkLock(components []lock.Component) (lock.Difference, error) {
	if o.Lock == "" {
		return lock.Difference{}, nil
	}
	old, err := lock.Read(o.Lock)
	if err != nil {
		return lock.Difference{}, err
	}
	if o.Locked {
		return lock.Difference{}, old.Require(o.Arch, components)
	}
	now := old.Replace(o.Arch, components)
	return lock.Compare(old, now), now.Write(o.Lock)
}

func toJSON(v any) []byte {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(err) // plain data
	}
	return append(b, '\n')
}
