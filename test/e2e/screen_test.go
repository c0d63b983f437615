//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stek-edge/stek/test/dialogue"
	"github.com/stek-edge/stek/test/site"
	"github.com/stek-edge/stek/test/vm"
)

// Keys as a terminal at the end of a serial line sends them.
const (
	down   = "\x1b[B"
	home   = "\x1b[H"
	end    = "\x1b[F"
	enter  = "\r"
	redraw = "\x0c"
)

// sees waits until a page shows a text. A page is drawn by what has changed on it, so it
// is asked for anew, and blanks may be movements of the cursor.
func (b *testBox) sees(t *testing.T, text string) (vm.Match, error) {
	t.Helper()
	pattern := strings.ReplaceAll(text, " ", `\s*`)
	ctx, cancel := context.WithTimeout(t.Context(), promptWithin)
	defer cancel()
	for {
		must(t, b.Console.Type(redraw))
		short, done := context.WithTimeout(ctx, 15*time.Second)
		m, err := b.Console.ExpectPrompt(short, pattern)
		done()
		if err == nil || ctx.Err() != nil || b.Off() {
			return m, err
		}
	}
}

// page is one page of the screens: what it shows, and what is typed into it.
type page struct{ shows, keys string }

// toReview answers every page up to the review, with what they offer: the one disk, the TPM,
// a recovery key that is shown, and no network.
var toReview = []page{
	{`This stick turns the machine`, enter},
	{`Firmware: UEFI`, enter},
	{`serial DISK0001`, enter + down + enter},
	{`The disk is always encrypted`, enter},
	{`Whether the firmware is to start`, enter},
	{`How the box reaches others`, home + down + enter + end + enter},
	{`stek-\{serial\}`, enter},
}

// answer types into one page after another, when its title and what is typed into are there.
func (b *testBox) answer(t *testing.T, pages ...page) {
	t.Helper()
	for _, p := range pages {
		phase(t, p.shows, func() (vm.Match, error) { return b.sees(t, p.shows) })
		must(t, b.Console.Type(p.keys))
	}
}

// silentBox is a box with a stick without an answer file, and a person at its serial console.
func silentBox(t *testing.T, change func(*site.Site)) (*site.Site, *testBox) {
	t.Helper()
	return askingBox(t, site.Options{Silent: true}, change)
}

func askingBox(t *testing.T, o site.Options, change func(*site.Site)) (*site.Site, *testBox) {
	t.Helper()
	s := newSite(t, o)
	if change != nil {
		change(s)
	}
	box := powerOn(t, s, s.Machine)
	phase(t, "a person is asked", func() (vm.Match, error) {
		return box.prompt(t, `Press Enter on the screen or serial line that you want to use:`)
	})
	return s, box
}

var recoveryKey = regexp.MustCompile(`[a-v]{8}(-[a-v]{8}){7}`)

// copiesRecoveryKey waits until the recovery key is shown, and types its end.
func (b *testBox) copiesRecoveryKey(t *testing.T) (shown string) {
	t.Helper()
	phase(t, "the recovery key is shown", func() (vm.Match, error) { return b.sees(t, recoveryKey.String()) })
	shown = recoveryKey.FindString(b.Console.Text())
	must(t, b.Console.Type(shown[len(shown)-8:]+enter+enter))
	return shown
}

// comesUp waits from the recovery key that is shown up to Ready, and switches the box off.
func (b *testBox) comesUp(t *testing.T) (recoveryKey string) {
	t.Helper()
	recoveryKey = b.copiesRecoveryKey(t)
	phase(t, "installed", func() (vm.Match, error) { return b.sees(t, `This machine is installed`) })
	must(t, b.Console.Type(enter))
	phase(t, "disk opened", func() (vm.Match, error) { return b.WaitOpened(t.Context()) })
	phase(t, "Ready", func() (vm.Match, error) { return b.WaitReady(t.Context()) })
	must(t, b.PowerCut())
	return recoveryKey
}

// TestFullScreen installs a box from a stick without an answer file, by the screens on
// its serial console, up to Ready. The end of the disk's serial number is mistyped first.
func TestFullScreen(t *testing.T) {
	s, box := silentBox(t, nil)
	must(t, box.Console.Type(enter))
	box.answer(t, toReview...)
	box.answer(t,
		page{`check the image on the stick`, "0002" + enter + enter},
		page{`type 0001 here first`, strings.Repeat("\b", 4) + "0001" + enter + enter})
	opensBy(t, s, box.comesUp(t))
}

// TestFullLines installs a box line by line on its serial console, up to Ready, by the same
// answers as at a terminal of a test: one is wrong first, and one goes back.
func TestFullLines(t *testing.T) {
	s, box := silentBox(t, nil)
	sees := func(text string) error {
		_, err := box.prompt(t, regexp.QuoteMeta(text))
		return err
	}
	must(t, box.Console.Send("l"))
	must(t, dialogue.Hold(dialogue.ToConsent, sees, box.Console.Send))
	phase(t, "the recovery key is shown", func() (vm.Match, error) { return box.prompt(t, recoveryKey.String()) })
	must(t, sees(dialogue.AsksForKey))
	key := recoveryKey.FindString(box.Console.Text())
	must(t, box.Console.Send(key[len(key)-8:]))
	phase(t, "installed", func() (vm.Match, error) { return box.prompt(t, regexp.QuoteMeta(dialogue.Installed)) })
	phase(t, "disk opened", func() (vm.Match, error) { return box.WaitOpened(t.Context()) })
	phase(t, "Ready", func() (vm.Match, error) { return box.WaitReady(t.Context()) })
	must(t, box.PowerCut())
	opensBy(t, s, key)
}

// opensBy starts a box without its TPM, and types a recovery key.
func opensBy(t *testing.T, s *site.Site, key string) {
	t.Helper()
	alone := s.WithoutStick()
	alone.TPM = nil
	box := powerOn(t, s, alone)
	phase(t, "asked for the recovery key", func() (vm.Match, error) { return box.WaitLocked(t.Context()) })
	must(t, box.Console.Send(key))
	if m, err := box.WaitOpened(t.Context()); err != nil || m.Groups[0] != "recovery" {
		t.Errorf("the recovery key: %v, %v", m.Groups, err)
	}
}

// TestFullScreenDiskPulled pulls the disk while the root is copied, puts it back under what
// may be another name, and tries again with one key press: nothing is typed once more.
func TestFullScreenDiskPulled(t *testing.T) {
	ctx := t.Context()
	_, box := silentBox(t, func(s *site.Site) {
		s.Machine.Fatal = nil // that it was not installed is what is waited for
		s.Machine.Disks[1].Bus = vm.USB
	})
	must(t, box.Console.Type(enter))
	box.answer(t, toReview...)
	box.answer(t, page{`check the image on the stick`, "0001" + enter + enter})
	// The bar of the step that copies, once it has moved: the step before it is done by then.
	phase(t, "divided", func() (vm.Match, error) { return box.sees(t, `\[ok\] clear the disk`) })
	phase(t, "copying", func() (vm.Match, error) { return box.sees(t, `\[#[#.]+\]`) })
	must(t, box.Pull(ctx, "disk"))
	phase(t, "given up", func() (vm.Match, error) { return box.sees(t, `could not copy the root file system`) })
	phase(t, "says what to do", func() (vm.Match, error) { return box.sees(t, `check how the disk is fitted`) })
	// Without the disk a further try says what is missing.
	must(t, box.Console.Type(enter))
	phase(t, "no disk", func() (vm.Match, error) { return box.sees(t, `no disk`) })
	must(t, box.Plug(ctx, "disk"))
	time.Sleep(20 * time.Second) // the kernel finds it
	must(t, box.Console.Type(enter))
	box.comesUp(t)
}

// settled waits until the box's own screen shows something else than before, and no longer
// changes.
func (b *testBox) settled(t *testing.T, before []byte) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "screen.png")
	var last []byte
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); time.Sleep(3 * time.Second) {
		must(t, b.Screenshot(t.Context(), file))
		now, err := os.ReadFile(file)
		must(t, err)
		if bytes.Equal(now, last) && !bytes.Equal(now, before) {
			return now
		}
		last = now
	}
	t.Fatal("the screen does not change")
	return nil
}

// keysOf are the keys of a US keyboard for small letters and digits.
func keysOf(text string) []string { return strings.Split(text, "") }

// TestFullScreenVT installs a box by its own keyboard and screen, up to Ready, with a PIN, and
// with a recovery key for the office, whose public key is typed. Nothing reads the screen:
// the box does what was typed, or the test fails. In the end nobody presses a key.
func TestFullScreenVT(t *testing.T) {
	const pin = "47114712"
	ctx := t.Context()
	s, box := silentBox(t, nil)
	keys := func(pages ...[]string) (all []string) {
		for _, p := range pages {
			all = append(all, p...)
		}
		return all
	}
	named := func(names string) []string { return strings.Fields(names) }
	screen := box.settled(t, nil)
	for _, p := range []struct {
		name  string
		typed []string
	}{
		{"the screen is taken", named("ret")},
		{"welcome", named("ret")},
		{"machine", named("ret")},
		{"disk", named("ret down ret")},
		// The office's key; the recovery key is not shown; a PIN, twice; on.
		{"encryption", keys(named("up"), keysOf(s.Recovery.Recipient().String()), named("up spc up spc down"), keysOf(pin), named("down"), keysOf(pin), named("down down down ret"))},
		{"secure boot", named("ret")},
		{"network", named("home down ret end ret")},
		{"node", named("ret")},
		{"review", named("0 0 0 1 ret ret")},
	} {
		t.Log(p.name)
		must(t, box.Press(ctx, p.typed...))
		if p.name != "review" {
			screen = box.settled(t, screen)
		}
		if dir := os.Getenv(vm.ArtifactsEnv); dir != "" {
			must(t, os.WriteFile(filepath.Join(dir, t.Name()+"-"+strings.ReplaceAll(p.name, " ", "-")+".png"), screen, 0o644))
		}
	}
	phase(t, "installed", func() (vm.Match, error) { return box.WaitInstalled(ctx) })
	must(t, box.TypePIN(ctx, pin))
	phase(t, "disk opened", func() (vm.Match, error) { return box.WaitOpened(ctx) })
	phase(t, "Ready", func() (vm.Match, error) { return box.WaitReady(ctx) })
	must(t, box.PowerCut())

	key, err := s.RecoveryKey(ctx)
	must(t, err)
	opensBy(t, s, key)
}
