package keep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/stek-edge/stek/installer/durable"
	"github.com/stek-edge/stek/installer/network"
	"github.com/stek-edge/stek/installer/network/probe"
)

// Keeper changes the network of one box.
type Keeper struct {
	Dir  string // of the journal, on the private volume
	Root string // what the paths of files are below: "/"

	// Reload makes the network programs read their files again. It gets those that
	// were in place before and those that are now.
	Reload func(ctx context.Context, before, now Config) error
	// Test runs every stage against what a configuration should lead to. nil tests
	// nothing.
	Test func(ctx context.Context, c Config) probe.Report
	// Report gets each test's result; may be nil.
	Report func(probe.Report)
}

// ErrBusy says that another configuration is being tried.
var ErrBusy = errors.New("another network configuration is being tried; confirm it, or wait until its time is over")

// maxFile bounds the journal and the files named in it.
const maxFile = 8 << 20 // bytes

// Load reads the journal. A box that was never changed has none, which is the zero
// State.
func (k Keeper) Load() (State, error) {
	var s State
	info, err := os.Stat(k.journal())
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil && info.Size() > maxFile {
		err = errors.New("it is too large")
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(k.journal())
	}
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		return State{}, fmt.Errorf("reading the journal of the network: %w", plain(err))
	}
	return s, nil
}

// plain takes a value out of an error of JSON: the journal holds keys.
func plain(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	if errors.As(err, &syntax) || errors.As(err, &kind) {
		return errors.New("it is damaged")
	}
	return err
}

func (k Keeper) journal() string   { return filepath.Join(k.Dir, "network.json") }
func (k Keeper) confirmed() string { return filepath.Join(k.Dir, "confirmed") }

func (k Keeper) save(s State) error {
	if err := os.MkdirAll(k.Dir, 0o700); err != nil {
		return err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return durable.WriteFile(k.journal(), text, 0o600)
}

// Adopt writes down the configuration that is in place already as the kept one: what
// the installer laid.
func (k Keeper) Adopt(c Config) error { return k.save(State{Kept: c}) }

// Ask writes a new configuration into the journal. Nothing changes yet: Run does it.
func (k Keeper) Ask(c Config, within time.Duration) error {
	s, err := k.Load()
	if err != nil {
		return err
	}
	if s.Trial != nil {
		return ErrBusy
	}
	if err := checkPaths(c); err != nil {
		return err
	}
	if err := os.Remove(k.confirmed()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	next, _ := s.Next(Event{Kind: Asked, Config: c, Within: within})
	return k.save(next)
}

// Run carries out what was asked for, to its end. It returns how it ended.
func (k Keeper) Run(ctx context.Context) (*Past, error) {
	s, err := k.Load()
	if err != nil {
		return nil, err
	}
	if s.Trial == nil {
		return s.Last, nil
	}
	if s.Trial.Good {
		return k.event(ctx, s, Event{Kind: Restarted})
	}
	var before *probe.Report
	if k.Test != nil && s.Kept.Test != nil {
		r := k.test(ctx, s.Kept)
		before = &r
	}
	if err := k.put(ctx, s.Kept, s.Trial.Config); err != nil {
		return k.event(ctx, s, Event{Kind: Failed, Why: "it could not be put in place: " + err.Error()})
	}
	event := Event{Kind: Passed}
	if k.Test != nil {
		if worse := Worse(before, k.test(ctx, s.Trial.Config)); len(worse) > 0 {
			event = Event{Kind: Failed, Why: words(worse)}
		}
	}
	if ctx.Err() != nil {
		event = Event{Kind: Restarted}
	}
	return k.event(ctx, s, event)
}

// Try asks and runs.
func (k Keeper) Try(ctx context.Context, c Config, within time.Duration) (*Past, error) {
	if err := k.Ask(c, within); err != nil {
		return nil, err
	}
	return k.Run(ctx)
}

// Settle ends what a restart has cut short: the kept configuration returns. It is
// for the start of the box, before the network programs run, and reloads nothing.
func (k Keeper) Settle() (*Past, error) {
	k.Reload = func(context.Context, Config, Config) error { return nil }
	s, err := k.Load()
	if err != nil || s.Trial == nil {
		return nil, err
	}
	return k.event(context.Background(), s, Event{Kind: Restarted})
}

// Confirm tells the running trial that its configuration is good. id may be empty
// for whichever is being tried.
func (k Keeper) Confirm(id string) error {
	s, err := k.Load()
	if err != nil {
		return err
	}
	switch {
	case s.Trial == nil:
		return errors.New("no network configuration is being tried")
	case !s.Trial.Good:
		return errors.New("the configuration is still being tested; confirm it when the test is over")
	case id != "" && id != s.Trial.Config.ID():
		return fmt.Errorf("the configuration being tried is %s, not %s", s.Trial.Config.ID(), id)
	}
	return durable.WriteFile(k.confirmed(), []byte(s.Trial.Config.ID()), 0o600)
}

func (k Keeper) test(ctx context.Context, c Config) probe.Report {
	r := k.Test(ctx, c)
	if k.Report != nil {
		k.Report(r)
	}
	return r
}

// event carries out one event and those that follow from it. The state is written
// first where a cut must lead to the old configuration, and last where the new files
// have to be back in place before the journal forgets them.
func (k Keeper) event(ctx context.Context, s State, e Event) (*Past, error) {
	next, action := s.Next(e)
	switch action {
	case KeepTrials:
		return next.Last, k.save(next)
	case AwaitWord:
		if err := k.save(next); err != nil {
			return k.event(ctx, s, Event{Kind: Failed, Why: err.Error()})
		}
		return k.event(ctx, next, k.await(ctx, *next.Trial))
	case PutKept:
		// Also when ctx has ended: the box must not stay on a trial.
		if err := k.put(context.WithoutCancel(ctx), s.Trial.Config, s.Kept); err != nil {
			return nil, fmt.Errorf("returning to the network configuration that worked: %w", err)
		}
		return next.Last, k.save(next)
	}
	return next.Last, nil
}

// await polls for the confirmation. The clock that counts here cannot be set, and
// does not stop while the box is asleep.
func (k Keeper) await(ctx context.Context, t Trial) Event {
	over := time.NewTimer(t.Within)
	defer over.Stop()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		if id, err := os.ReadFile(k.confirmed()); err == nil && string(id) == t.Config.ID() {
			return Event{Kind: Confirmed, ID: string(id)}
		}
		select {
		case <-tick.C:
		case <-over.C:
			return Event{Kind: Expired}
		case <-ctx.Done():
			return Event{Kind: Restarted}
		}
	}
}

// put replaces the files of one configuration by those of another, and reloads.
func (k Keeper) put(ctx context.Context, before, now Config) error {
	if err := k.Write(before, now); err != nil {
		return err
	}
	return k.Reload(ctx, before, now)
}

// Write replaces the files of one configuration by those of another. New files come
// first, so that a cut leaves no card without a file.
func (k Keeper) Write(before, now Config) error {
	if err := errors.Join(checkPaths(before), checkPaths(now)); err != nil {
		return err
	}
	for _, f := range now.Files {
		if err := k.writeFile(f); err != nil {
			return err
		}
	}
	for _, f := range before.Files {
		if slices.ContainsFunc(now.Files, func(n network.File) bool { return n.Path == f.Path }) {
			continue
		}
		path := filepath.Join(k.Root, f.Path)
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (k Keeper) writeFile(f network.File) error {
	path := filepath.Join(k.Root, f.Path)
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if f.Mode.Perm()&0o077 == 0 && f.Link == "" && strings.HasPrefix(f.Path, "/etc/credstore/") {
		if err := os.Chmod(dir, 0o700); err != nil {
			return err
		}
	}
	if f.Link == "" {
		return durable.WriteFile(path, f.Data, f.Mode)
	}
	temp := path + ".new"
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(f.Link, temp); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return durable.SyncDir(dir)
}

// checkPaths: a damaged journal must not lead out of /etc.
func checkPaths(c Config) error {
	for _, f := range c.Files {
		if !strings.HasPrefix(f.Path, "/etc/") || filepath.Clean(f.Path) != f.Path {
			return fmt.Errorf("%q is no file of a network configuration", f.Path)
		}
	}
	return nil
}

func words(worse []probe.Verdict) string {
	var all []string
	for _, v := range worse {
		all = append(all, fmt.Sprintf("%s: %s", v.Stage, v.Saw))
	}
	return "it is worse than the one before: " + strings.Join(all, "; ")
}
