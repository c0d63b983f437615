//go:build e2e

package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stek-edge/stek/images/builder"
	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/test/site"
	"github.com/stek-edge/stek/test/vm"
)

// Each disk fails in a way of its own while the root is copied, and the box tells a person
// which one it was and what to do.
func TestFullMedia(t *testing.T) {
	const notInstalled = `This machine was not installed`
	const inRoot = 1<<20 + 1<<30 + 64<<20 // behind the table, the boot partition of 1 GiB, and the first of the root
	stick, disk := func(s *site.Site) string { return s.Stick }, func(s *site.Site) string { return s.Disk }
	for _, c := range []struct {
		name   string
		change func(s *site.Site)
		pull   string                    // the disk that is pulled while the root is copied
		says   []string                  // on the console, in this order
		on     func(s *site.Site) string // the medium with the report, which says failed
	}{
		{name: "disk with a bad sector",
			change: func(s *site.Site) { s.Machine.Disks[1].BadWrite = inRoot },
			says:   []string{`could not copy the root file system.*writing at byte`, `What to do: .*the disk is failing: replace it`, `the report is on the stick`}, on: stick},
		{name: "disk pulled",
			change: func(s *site.Site) { s.Machine.Disks[1].Bus = vm.USB }, pull: "disk",
			says: []string{`could not copy the root file system`, `What to do: check how the disk is fitted`, `the report is on the stick`}, on: stick},
		{name: "stick pulled", pull: "stick",
			says: []string{`could not copy the root file system`, `What to do: put the stick in again and restart the machine`, `the report is on the disk's boot partition`}, on: disk},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := t.Context()
			s := newSite(t, site.Options{})
			// That it was not installed is what is waited for.
			s.Machine.Fatal = nil
			if c.change != nil {
				c.change(s)
			}
			box := powerOn(t, s, s.Machine)
			if c.pull != "" {
				phase(t, "copying", func() (vm.Match, error) { return box.Console.Expect(ctx, `\* copy the root file system`) })
				must(t, box.Pull(ctx, c.pull))
			}
			phase(t, "given up", func() (vm.Match, error) { return box.Console.Expect(ctx, notInstalled) })
			for _, words := range c.says {
				if _, err := box.Console.Expect(ctx, words); err != nil {
					t.Fatal(err)
				}
			}
			must(t, box.PowerCut())
			if r := reported(t, c.on(s)); r.Status != installer.StatusFailed || !strings.Contains(r.Message, "copy the root file system") {
				t.Errorf("the report says %+v", r)
			}
			// What is half there must not start: with the stick out nothing does.
			m := s.WithoutStick()
			m.Disks[0].BadWrite = 0
			box = powerOn(t, s, m)
			phase(t, "nothing to start", func() (vm.Match, error) {
				return box.Console.Expect(ctx, `No bootable option or device was found|UEFI Interactive Shell`)
			})
		})
	}
}

type result struct {
	Status  installer.Status `json:"status"`
	Message string           `json:"message"`
}

// reported is the result that the installer left on a medium.
func reported(t *testing.T, medium string) (r result) {
	t.Helper()
	b, err := builder.ReadFile(medium, "stek/reports/"+site.BoxSerial+"/result.json")
	must(t, err)
	must(t, json.Unmarshal(b, &r))
	return r
}
