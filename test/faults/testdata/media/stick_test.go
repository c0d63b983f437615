package media

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stek-edge/stek/installer"
)

// TestStick: whatever the stick fails at, it is the stick that is named, and the disk does
// not start.
func TestStick(t *testing.T) {
	// gone is a stick of which nothing is left, in no memory either.
	gone := func(b *box) {
		forget(b.t)
		b.stick.turns(dead, span{0, b.stick.size})
	}
	tests := []struct {
		name   string
		change func(b *box)
		when   func(installer.Event) bool
		step   string // that fails
		says   string
		remedy string
	}{
		{name: "gone before the check", change: gone, when: begins(installer.StepCheck),
			step: installer.StepCheck, says: "nothing on any disk was changed", remedy: "use another stick"},
		{name: "gone at the journal", change: func(b *box) { b.stick.turns(readonly, span{0, b.stick.size}) }, when: begins(installer.StepPartition),
			step: installer.StepPartition, says: "writing the journal", remedy: "use another stick"},
		{name: "gone before the copy", change: gone, when: begins(installer.StepRoot),
			step: installer.StepRoot, remedy: "use another stick"},
		{name: "gone before the volume", change: gone, when: begins(installer.StepState),
			step: installer.StepState, remedy: "use another stick"},
		{name: "gone before the boot partition", change: gone, when: begins(installer.StepESP),
			step: installer.StepESP, remedy: "use another stick"},
		{name: "gone before the recovery key", change: gone, when: begins(installer.StepReport),
			step: installer.StepReport, remedy: "use another stick"},
		{name: "no writes at the recovery key", change: func(b *box) { b.stick.turns(readonly, span{0, b.stick.size}) }, when: begins(installer.StepReport),
			step: installer.StepReport, says: "leaving the recovery key on the stick", remedy: "use another stick"},
		{name: "full at the recovery key", change: func(b *box) { fill(b.t, filepath.Join(b.files.ESP, "photographs")) }, when: begins(installer.StepReport),
			step: installer.StepReport, says: "leaving the recovery key on the stick", remedy: "delete what is not needed from the stick"},
		{name: "gone before the loader", change: gone, when: begins(installer.StepBoot),
			step: installer.StepBoot, remedy: "use another stick"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBox(t)
			must(t, b.look())
			began := false
			err := b.install(func(e installer.Event) {
				if !began && tt.when(e) {
					began = true
					tt.change(b)
				}
			})
			b.stick.recovers()
			forget(t)
			b.fails(err, tt.step, "stick", tt.says)
			if remedy := installer.RemedyOf(err); !strings.Contains(remedy, tt.remedy) {
				t.Errorf("the remedy\n%s\nis not\n%s", remedy, tt.remedy)
			}
			if loads, why := b.bootable(); loads {
				t.Errorf("the disk starts: %s", why)
			}
		})
	}
}

// TestDiskComesBack: a disk that is gone in the middle of the copy, as with a loose cable,
// fails the copy. When it is back the same stick takes the work up where it can, without
// a consent to erase, and finishes.
func TestDiskComesBack(t *testing.T) {
	b := newBox(t)
	must(t, b.look())
	gone := false
	err := b.install(func(e installer.Event) {
		if !gone && halfway(e) {
			gone = true
			b.disk.turns(dead, span{0, b.disk.size})
		}
	})
	b.disk.recovers()
	b.fails(err, installer.StepRoot, "disk", "input/output error")
	if loads, why := b.bootable(); loads {
		t.Errorf("the disk starts: %s", why)
	}
	must(t, b.look())
	must(t, b.install(nil))
	if done, skipped := b.said(installer.StepDone), b.said(installer.StepSkipped); done != "check root state esp report boot" || skipped != installer.StepPartition {
		t.Errorf("done: %s, skipped: %s", done, skipped)
	}
	b.finished()
	b.othersUnchanged()
}

// TestStickComesBack: the same for a stick that was pulled and put in again.
func TestStickComesBack(t *testing.T) {
	b := newBox(t)
	must(t, b.look())
	err := b.install(func(e installer.Event) {
		if begins(installer.StepReport)(e) {
			forget(t)
			b.stick.turns(dead, span{0, b.stick.size})
		}
	})
	b.stick.recovers()
	forget(t) // names that could not be looked up count as none
	b.fails(err, installer.StepReport, "stick", "")
	b.replug()
	must(t, b.look())
	must(t, b.install(nil))
	if done, skipped := b.said(installer.StepDone), b.said(installer.StepSkipped); done != "check state esp report boot" || skipped != "partition root" {
		t.Errorf("done: %s, skipped: %s", done, skipped)
	}
	b.finished()
	b.othersUnchanged()
}
