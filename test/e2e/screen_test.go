//go:build e2e

package e2e

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stek-edge/stek/test/site"
	"github.com/stek-edge/stek/test/vm"
)

// Keys as a terminal at the end of a serial line sends them.
const (
	up     = "\x1b[A"
	down   = "\x1b[B"
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

// TestFullScreen installs a box from a stick without an answer file, by the screens on
// its serial console, up to Ready. The end of the disk's serial number is mistyped first.
func TestFullScreen(t *testing.T) {
	ctx := t.Context()
	s := newSite(t, site.Options{Silent: true})
	box := powerOn(t, s, s.Machine)
	phase(t, "a person is asked", func() (vm.Match, error) {
		return box.prompt(t, `Press Enter on the screen or serial line that you want to use:`)
	})
	must(t, box.Console.Type(enter))
	// Each page is answered when its title and what is typed into are there.
	for _, page := range []struct{ shows, keys string }{
		{`This stick turns the machine`, enter},
		{`Firmware: UEFI`, enter},
		{`serial DISK0001`, enter + down + enter},
		{`The disk is always encrypted`, enter},
		{`How the box reaches others`, up + enter + down + enter},
		{`stek-\{serial\}`, enter},
		{`check the image on the stick`, "0002" + enter + enter},
		{`type 0001 here first`, strings.Repeat("\b", 4) + "0001" + enter + enter},
	} {
		phase(t, page.shows, func() (vm.Match, error) { return box.sees(t, page.shows) })
		must(t, box.Console.Type(page.keys))
	}
	key := regexp.MustCompile(`[a-v]{8}(-[a-v]{8}){7}`)
	phase(t, "the recovery key is shown", func() (vm.Match, error) { return box.sees(t, key.String()) })
	shown := key.FindString(box.Console.Text())
	must(t, box.Console.Type(shown[len(shown)-8:]+enter+enter))
	phase(t, "installed", func() (vm.Match, error) { return box.sees(t, `This machine is installed`) })
	must(t, box.Console.Type(enter))
	phase(t, "disk opened", func() (vm.Match, error) { return box.WaitOpened(ctx) })
	phase(t, "Ready", func() (vm.Match, error) { return box.WaitReady(ctx) })
	must(t, box.PowerCut())

	// Without the TPM the key that was shown opens the disk.
	alone := s.WithoutStick()
	alone.TPM = nil
	box = powerOn(t, s, alone)
	phase(t, "asked for the recovery key", func() (vm.Match, error) { return box.WaitLocked(ctx) })
	must(t, box.Console.Send(shown))
	if m, err := box.WaitOpened(ctx); err != nil || m.Groups[0] != "recovery" {
		t.Errorf("the key that was shown: %v, %v", m.Groups, err)
	}
}
