//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/vault"
	"github.com/stek-edge/stek/test/loopbox"
	"github.com/stek-edge/stek/test/site"
	"github.com/stek-edge/stek/test/vm"
)

// A moment is a line of the installer's, and how long after it the power fails.
type moment struct {
	line  string
	after time.Duration
}

// moments are spread over an installation, in its order.
var moments = []moment{
	{`The plan:`, 0},
	{`\* check the image`, 0},
	{`\* check the image`, 2 * time.Second},
	{`\* clear the disk`, 0},
	{`\* clear the disk`, 100 * time.Millisecond},
	{`\* copy the root file system`, 0},
	{`\* copy the root file system`, 500 * time.Millisecond},
	{`\* copy the root file system`, 3 * time.Second},
	{`\* copy the root file system`, 6 * time.Second},
	{`\* make the encrypted volume`, 0},
	{`\* make the encrypted volume`, time.Second},
	{`\* make the encrypted volume`, 3 * time.Second},
	{`making the key slot`, 0},
	{`making the key slot`, time.Second},
	{`\* make the boot partition`, 0},
	{`\* make the boot partition`, 200 * time.Millisecond},
	{`\* leave the recovery key`, 0},
	{`\* make the disk bootable`, 0},
	{`\* make the disk bootable`, 500 * time.Millisecond},
	{`Installed\. The machine`, 0},
}

// TestFullKills ends QEMU twenty times during one installation. Every time the box is
// switched on again and goes on by itself, until it is Ready; nothing that was left half
// done starts in place of the installer.
func TestFullKills(t *testing.T) {
	ctx := t.Context()
	s := newSite(t, site.Options{})
	for i, m := range moments {
		box := powerOn(t, s, s.Machine)
		name := fmt.Sprintf("cut %d: %s, %v later", i+1, m.line, m.after)
		var met vm.Match
		phase(t, name, func() (found vm.Match, err error) {
			met, err = box.Console.Expect(ctx, m.line, `volume opened by`)
			return met, err
		})
		if met.Alternative == 1 {
			t.Fatalf("before %s the box started from its disk", name)
		}
		time.Sleep(m.after)
		must(t, box.PowerCut())
	}
	box := powerOn(t, s, s.Machine)
	phase(t, "disk opened", func() (vm.Match, error) { return box.WaitOpened(ctx) })
	phase(t, "Ready", func() (vm.Match, error) { return box.WaitReady(ctx) })
	must(t, box.LogIn(ctx))
	if kinds := box.status(t).kinds(); !slices.Contains(kinds, "recovery") || !slices.Contains(kinds, "maintenance") || !slices.Contains(kinds, "tpm2") {
		t.Errorf("the volume's slots: %v", kinds)
	}
	must(t, box.PowerCut())

	key, err := s.RecoveryKey(ctx)
	must(t, err)
	state, err := site.Partition(s.Disk, disk.State)
	must(t, err)
	loop := strings.TrimSpace(loopbox.Tool(t, "losetup", append(site.Alone(state), "--find", "--show", "--read-only", s.Disk)...))
	defer loopbox.Tool(t, "losetup", "--detach", loop)
	header, err := vault.Inspect(loop)
	must(t, err)
	typed := func(context.Context, int) ([]byte, error) { return []byte(key), nil }
	volume, err := header.Unlock(ctx, vault.ByTyping{Ask: typed, Tries: 1})
	if err != nil {
		t.Fatalf("the recovery key on the stick: %v", err)
	}
	volume.Close()
}
