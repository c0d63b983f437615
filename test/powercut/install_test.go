package powercut_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/preseed"
	"github.com/stek-edge/stek/test/loopbox"
	"github.com/stek-edge/stek/test/powercut"
)

const diskSize = 16 << 30 // bytes

// TestInstall cuts the power at every write of the steps that divide the disk and copy
// the root, on an empty disk and on one that was used before. At each of them the next
// start plans the installation anew, without a consent that was not given, and the disk
// has the old table, none, or the whole new one.
func TestInstall(t *testing.T) {
	const answers = "stek: 1\nencryption: {unlock: [passphrase], recovery: {show: true}}\n"
	for _, tt := range []struct {
		name, answers string
		old           string // sfdisk's input for the disk as it was
		states        int    // at least
	}{
		{"empty disk", answers, "", 300},
		{"used disk", answers + "disk: {erase: true}\n", "label: gpt\nsize=2G, name=data\nsize=100M\nname=more\n", 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := newInstallation(t, tt.answers, tt.old)
			i.until(t, installer.StepState)
			i.detach()
			resumed := 0
			n := 0
			o := options(t, 0.3)
			stats, err := i.rec.Log().Replay(o, func(s *powercut.State) error {
				if err := i.starts(s); err != nil {
					return err
				}
				if n++; n%60 != 0 {
					return nil
				}
				resumed++
				return i.resumes(t, s)
			})
			if err != nil {
				t.Error(err)
			}
			enough(t, stats, o, tt.states)
			if resumed == 0 {
				t.Error("none was taken up again")
			}
			t.Logf("%d writes, %d flushes, %d states, %d checked, %d of them taken up again", stats.Writes, stats.Flushes, stats.States, stats.Checked, resumed)
		})
	}
}

// installation is one that is recorded.
type installation struct {
	rec     *powercut.Recorder
	machine *loopbox.Machine
	stick   *loopbox.Stick
	detach  func()
	answers *preseed.Answers
	inv     *hardware.Inventory
	ids     disk.IDs
	plan    *installer.Plan
	old     []hardware.Partition
	journal map[string][]byte // as it was when each step began
}

func newInstallation(t *testing.T, answers, old string) *installation {
	t.Helper()
	d := powercut.Disk{Name: "disk", Size: diskSize}
	if old != "" {
		d.From = filepath.Join(t.TempDir(), "old")
		must(t, os.WriteFile(d.From, nil, 0o600))
		must(t, os.Truncate(d.From, diskSize))
		loopbox.ToolIn(t, old, "sfdisk", "-q", d.From)
	}
	parsed, err := preseed.Parse("answers.yaml", []byte(answers))
	must(t, err)
	i := &installation{
		rec: record(t, d), machine: loopbox.New(t), stick: loopbox.NewStick(t), answers: preseed.Defaults(parsed), journal: map[string][]byte{},
	}
	i.detach = i.machine.Attach("nvme0n1", "A1", i.rec.Path("disk")).Detach(t)
	i.inv, err = hardware.Look(t.Context(), i.machine.Roots)
	must(t, err)
	i.old = i.inv.Disks[0].Partitions
	i.ids, err = installer.LoadIDs(i.journalPath(), rand.Reader)
	must(t, err)
	i.plan, err = installer.Make(i.answers, i.inv, i.stick.Image, i.ids)
	must(t, err)
	return i
}

func (i *installation) journalPath() string {
	return installer.JournalPath(i.stick.ESP, i.inv.Board.Serial)
}

// until carries out the plan until a step begins.
func (i *installation) until(t *testing.T, stop string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := installer.Run(ctx, i.plan, i.site(t, i.machine, i.stick), func(e installer.Event) {
		if e.Kind != installer.StepStarted {
			return
		}
		b, err := os.ReadFile(i.journalPath())
		must(t, err)
		i.journal[e.Step] = b
		must(t, i.rec.Mark(e.Step))
		if e.Step == stop {
			cancel()
		}
	})
	if installer.StatusOf(err) != installer.StatusAborted {
		t.Fatal(err)
	}
}

func (i *installation) site(t *testing.T, m *loopbox.Machine, s *loopbox.Stick) *installer.Site {
	return &installer.Site{
		Machine: m.Roots, Answers: i.answers, StickESP: s.ESP, Root: s.Root, EFIVars: m.Roots.EFIVars,
		Shadow: "/etc/shadow", WorkDir: t.TempDir(), Tools: installer.Tools{}, Now: time.Now,
	}
}

// starts has the installer look at the disk again, as it does after a power cut.
func (i *installation) starts(s *powercut.State) error {
	inv := *i.inv
	d, err := lookAgain(s, "disk", inv.Disks[0])
	if err != nil {
		return err
	}
	inv.Disks = []hardware.Disk{d}
	plan, err := installer.Make(i.answers, &inv, i.stick.Image, i.ids)
	if err != nil {
		return fmt.Errorf("the next start does not plan: %w", err)
	}
	if !slices.Equal(plan.Disk.Layout.Partitions, i.plan.Disk.Layout.Partitions) {
		return errors.New("the next start plans something else")
	}
	return i.table(d, s.Phase)
}

// table tells whether a disk has the old table, none, or the whole new one. Firmware
// and kernel look at none of them without the protective MBR, which is written last.
func (i *installation) table(d hardware.Disk, phase string) error {
	same := func(a, b hardware.Partition) bool {
		return a.Number == b.Number && a.GUID == b.GUID && a.Start == b.Start && a.Size == b.Size
	}
	switch {
	case d.Table == "":
		return nil
	case d.TableGUID == i.ids.Disk && len(d.Partitions) == 4:
		for _, p := range d.Partitions {
			if p.Content != "" && phase == installer.StepPartition {
				return fmt.Errorf("%s shows through in the new partition %s", p.Content, p.Name)
			}
		}
		return nil
	case slices.EqualFunc(d.Partitions, i.old, same):
		return nil
	}
	return fmt.Errorf("a table of neither: %s %s, %d partitions", d.Table, d.TableGUID, len(d.Partitions))
}

// resumes has the engine take up a copy of what a power cut left, with the journal of
// that moment, and compares the root that is on the disk then.
func (i *installation) resumes(t *testing.T, s *powercut.State) error {
	m, stick := loopbox.New(t), loopbox.NewStick(t)
	image := copyOf(t, s, "disk")
	detach := m.Attach("nvme0n1", "A1", image).Detach(t)
	defer detach()
	journal := installer.JournalPath(stick.ESP, i.inv.Board.Serial)
	must(t, os.MkdirAll(filepath.Dir(journal), 0o755))
	must(t, os.WriteFile(journal, i.journal[s.Phase], 0o644))
	inv, err := hardware.Look(t.Context(), m.Roots)
	if err != nil {
		return err
	}
	ids, err := installer.LoadIDs(journal, rand.Reader)
	if err != nil {
		return err
	}
	plan, err := installer.Make(i.answers, inv, stick.Image, ids)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err = installer.Run(ctx, plan, i.site(t, m, stick), func(e installer.Event) {
		if e.Kind == installer.StepStarted && e.Step == installer.StepState {
			cancel()
		}
	})
	if installer.StatusOf(err) != installer.StatusAborted {
		return fmt.Errorf("taking it up again: %w", err)
	}
	detach()
	return i.sameRoot(image)
}

// sameRoot compares the root on a disk with that on the stick.
func (i *installation) sameRoot(image string) error {
	root, err := os.ReadFile(i.stick.Root)
	if err != nil {
		return err
	}
	f, err := os.Open(image)
	if err != nil {
		return err
	}
	defer f.Close()
	part, _ := i.plan.Disk.Layout.Part(disk.RootA)
	copied := make([]byte, len(root))
	if _, err := f.ReadAt(copied, int64(part.Start)); err != nil {
		return err
	}
	if !bytes.Equal(root, copied) {
		return errors.New("taken up again, the root on the disk is not that of the stick")
	}
	return nil
}
