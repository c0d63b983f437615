//go:build e2e

package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/stek-edge/stek/images/builder"
	"github.com/stek-edge/stek/installer/keymap"
	"github.com/stek-edge/stek/test/site"
	"github.com/stek-edge/stek/test/vm"
)

// A passphrase, and the keys that make it on a German and on a US keyboard.
const passphrase = "zy@stek-yz"

var (
	onGerman = strings.Fields("y z alt_r+q s t e k slash z y ret")
	onUS     = strings.Fields("z y shift+2 s t e k minus y z ret")
)

// TestFullKeyboard types a passphrase on the box's own German keyboard, in the installer
// and when the disk is to be opened. Then the file with the layout is broken: the box
// says so and takes the keys for those of a US keyboard.
func TestFullKeyboard(t *testing.T) {
	ctx := t.Context()
	s := newSite(t, site.Options{Node: "  keyboard: de\n", Unlock: "passphrase", NoTPM: true})
	box := powerOn(t, s, s.Machine)
	phase(t, "asked for a passphrase", func() (vm.Match, error) { return box.prompt(t, `New passphrase of this box:`) })
	// Once as text over the serial line, once by keys: they must be the same.
	must(t, box.Console.Send(passphrase))
	phase(t, "asked again", func() (vm.Match, error) { return box.prompt(t, `The same again:`) })
	must(t, box.Press(ctx, onGerman...))
	phase(t, "installed", func() (vm.Match, error) { return box.WaitInstalled(ctx) })
	if strings.Contains(box.Console.Text(), "The two were not the same") {
		t.Error("the installer read the keys in another layout")
	}
	phase(t, "asked to open the disk", func() (vm.Match, error) { return box.prompt(t, `Passphrase, or recovery key:`) })
	must(t, box.Press(ctx, onGerman...))
	m, err := box.WaitOpened(ctx)
	if err != nil || m.Groups[0] != "passphrase" {
		t.Fatalf("typed on a German keyboard: %v, %v", m.Groups, err)
	}
	must(t, box.PowerCut())

	must(t, builder.PutFile(s.Disk, keymap.ESPPath, []byte("bkeymap, or not"), time.Now()))
	box = powerOn(t, s, s.WithoutStick())
	phase(t, "says that the layout is broken", func() (vm.Match, error) {
		return box.Console.Expect(ctx, `cannot be used: .*US keyboard`)
	})
	phase(t, "asked to open the disk", func() (vm.Match, error) { return box.prompt(t, `Passphrase, or recovery key:`) })
	must(t, box.Press(ctx, onUS...))
	if m, err := box.WaitOpened(ctx); err != nil || m.Groups[0] != "passphrase" {
		t.Fatalf("typed on a US keyboard: %v, %v", m.Groups, err)
	}
	phase(t, "has its own layout again", func() (vm.Match, error) {
		return box.Console.Expect(ctx, `not the one that this box was installed with`)
	})
}
