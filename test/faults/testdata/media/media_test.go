// Package media runs inside a guest: whole installations on a disk and from a stick that
// turn bad, by device-mapper's targets error and flakey. The TPM, dm-crypt, the file
// systems and all stock tools are real; made up are the firmware's variables and its tool,
// efibootmgr, which the guest has no firmware for.
package media

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/tpm"
	"github.com/stek-edge/stek/test/loopbox"
)

// TestMain has the TPM hold what firmware measures.
func TestMain(m *testing.M) {
	if err := measure(); err != nil {
		fmt.Fprintln(os.Stderr, "preparing the TPM:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func measure() error {
	chip, err := tpm.Open(tpmDevice)
	if err != nil {
		return err
	}
	defer chip.Close()
	return chip.Extend(context.Background(), 7, []byte("secure boot, off"))
}

const allSteps = "check partition root state esp report boot"

// TestWithoutFault: without a fault the whole installation is made. All else that is
// tested here would prove nothing otherwise.
func TestWithoutFault(t *testing.T) {
	b := newBox(t)
	must(t, b.look())
	must(t, b.install(nil))
	if got := b.said(installer.StepDone); got != allSteps {
		t.Errorf("done: %s", got)
	}
	if got := b.journaled(); got != allSteps {
		t.Errorf("in the journal: %s", got)
	}
	if len(b.tools) != 1 || !strings.Contains(b.tools[0], "efibootmgr --quiet --create") {
		t.Errorf("the firmware was told %q", b.tools)
	}
	b.finished()
	b.othersUnchanged()
}

// begins is the moment at which a step begins.
func begins(step string) func(installer.Event) bool {
	return func(e installer.Event) bool { return e.Kind == installer.StepStarted && e.Step == step }
}

// halfway is the moment at which half of the root was written to the disk.
func halfway(e installer.Event) bool {
	return e.Kind == installer.StepProgress && e.Step == installer.StepRoot && e.Done >= loopbox.RootSize/2
}

// TestDisk: whatever part of the disk fails, at whatever step, it is the disk that is to
// be replaced, the step is named, and the disk does not start.
func TestDisk(t *testing.T) {
	const (
		sector   = 512
		mib      = 1 << 20
		slotArea = 258048 // bytes of a LUKS2 key slot with a key of 512 bits
	)
	at := func(name string, from, length int64) func(b *box) span {
		return func(b *box) span {
			p := b.part(name)
			return span{p.from + from, p.from + from + length}
		}
	}
	everywhere := func(b *box) span { return span{0, b.disk.size} }
	files := at(disk.ESP, 2*mib+24<<10, disk.ESPSize-4*mib) // behind both FATs and the root folder
	tests := []struct {
		name  string
		how   way
		where func(b *box) span
		when  func(installer.Event) bool // nil: before the first step
		laid  bool                       // or between the file system of state and its files
		step  string                     // that fails
		says  string
		loads bool // the loader is there by then
	}{
		{name: "first sector", how: dead, where: func(*box) span { return span{0, sector} },
			step: installer.StepPartition},
		{name: "partition table", how: dead, where: func(*box) span { return span{sector, 34 * sector} },
			step: installer.StepPartition},
		{name: "second table at the end", how: dead, where: func(b *box) span { return span{b.disk.size - sector, b.disk.size} },
			step: installer.StepPartition},
		{name: "last sector of the root partition", how: dead, where: func(b *box) span { p := b.part(disk.RootA); return span{p.to - sector, p.to} },
			step: installer.StepPartition},
		{name: "first sector of root", how: dead, where: at(disk.RootA, 0, sector), when: begins(installer.StepRoot),
			step: installer.StepRoot},
		{name: "middle of root", how: dead, where: at(disk.RootA, loopbox.RootSize/2, sector),
			step: installer.StepRoot},
		{name: "last sector of root", how: dead, where: at(disk.RootA, loopbox.RootSize-sector, sector),
			step: installer.StepRoot},
		{name: "hash tree", how: dead, where: at(disk.RootA, loopbox.RootSize+4096, sector),
			step: installer.StepRoot},
		{name: "boot sector of the boot partition", how: dead, where: at(disk.ESP, 0, sector), when: begins(installer.StepRoot),
			step: installer.StepRoot},
		{name: "second FAT of the boot partition", how: dead, where: at(disk.ESP, 3*mib/2, 4096),
			step: installer.StepESP},
		{name: "root folder of the boot partition", how: dead, where: at(disk.ESP, 2*mib, 64<<10),
			step: installer.StepESP},
		{name: "files of the boot partition", how: dead, where: files, when: begins(installer.StepESP),
			step: installer.StepESP},
		{name: "LUKS header", how: dead, where: at(disk.State, 0, 4096), when: begins(installer.StepState),
			step: installer.StepState, says: "clearing the place of the volume's header"},
		{name: "second copy of the LUKS header", how: dead, where: at(disk.State, 32<<10, 4096), when: begins(installer.StepState),
			step: installer.StepState, says: "clearing the place of the volume's header"},
		{name: "first key slot", how: dead, where: at(disk.State, 64<<10, 4096), when: begins(installer.StepState),
			step: installer.StepState, says: "clearing the place of the volume's header"},
		{name: "key slot of the TPM", how: dead, where: at(disk.State, 64<<10+2*slotArea, 4096), when: func(e installer.Event) bool { return strings.HasPrefix(e.Message, "making the key slot") },
			step: installer.StepState},
		{name: "LUKS header at the key slot of the TPM", how: dead, where: at(disk.State, 0, 64<<10), when: func(e installer.Event) bool { return strings.HasPrefix(e.Message, "making the key slot") },
			step: installer.StepState},
		{name: "beginning of state's file system", how: dead, where: at(disk.State, 16*mib, mib),
			step: installer.StepState},
		{name: "all of state's file system behind its beginning", how: dead, where: at(disk.State, 17*mib, 1<<30),
			step: installer.StepState},
		{name: "first files of state", how: readonly, where: everywhere, laid: true,
			step: installer.StepState},
		{name: "blocks of the first files of state", how: dead, where: at(disk.State, 48*mib, 1<<30), laid: true,
			step: installer.StepState},
		{name: "LUKS header at its backup", how: dead, where: at(disk.State, 0, 64<<10), when: begins(installer.StepReport),
			step: installer.StepReport},
		{name: "boot partition at the header's backup", how: dead, where: files, when: begins(installer.StepReport),
			step: installer.StepReport},
		{name: "boot partition gone at the header's backup", how: dead, where: at(disk.ESP, 0, disk.ESPSize), when: begins(installer.StepReport),
			step: installer.StepReport},
		{name: "boot partition at the loader", how: dead, where: files, when: begins(installer.StepBoot),
			step: installer.StepBoot},
		{name: "boot partition gone at the loader", how: dead, where: at(disk.ESP, 0, disk.ESPSize), when: begins(installer.StepBoot),
			step: installer.StepBoot},
		{name: "LUKS header at its last name", how: dead, where: at(disk.State, 0, 64<<10), when: begins(installer.StepBoot),
			step: installer.StepBoot, loads: true},
		{name: "takes no more writes in the middle of the copy", how: readonly, where: everywhere, when: halfway,
			step: installer.StepRoot},
		{name: "lies from the table on", how: lying, where: everywhere, when: begins(installer.StepPartition),
			step: installer.StepPartition, says: "is not the one that was written"},
		{name: "lies from the copy on", how: lying, where: everywhere, when: begins(installer.StepRoot),
			step: installer.StepRoot, says: "the disk does not keep what is written"},
		{name: "lies in the middle of the copy", how: lying, where: everywhere, when: halfway,
			step: installer.StepRoot, says: "the disk does not keep what is written"},
		{name: "lies in one sector of root", how: lying, where: at(disk.RootA, loopbox.RootSize/2, sector),
			step: installer.StepRoot, says: fmt.Sprintf("from byte %d on: the disk does not keep what is written", loopbox.RootSize/2+23)}, // what lies before is zero in that root
		{name: "lies from the volume on", how: lying, where: everywhere, when: begins(installer.StepState),
			step: installer.StepState},
		{name: "lies from the first files of state on", how: lying, where: everywhere, laid: true,
			step: installer.StepState},
		{name: "lies where the first files of state are", how: lying, where: at(disk.State, 16*mib, 4<<30), laid: true,
			step: installer.StepState},
		{name: "lies from the boot partition on", how: lying, where: everywhere, when: begins(installer.StepESP),
			step: installer.StepESP},
		{name: "lies from the report on", how: lying, where: everywhere, when: begins(installer.StepReport),
			step: installer.StepReport},
		{name: "lies from the loader on", how: lying, where: everywhere, when: begins(installer.StepBoot),
			step: installer.StepBoot},
		{name: "lies in the boot partition from the loader on", how: lying, where: at(disk.ESP, 0, disk.ESPSize), when: begins(installer.StepBoot),
			step: installer.StepBoot},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBox(t)
			must(t, b.look())
			begin := func() { b.disk.turns(tt.how, tt.where(b)) }
			if tt.laid {
				b.laid = begin
			} else if tt.when == nil {
				begin()
			}
			began := false
			err := b.install(func(e installer.Event) {
				if tt.when != nil && !began && tt.when(e) {
					began = true
					begin()
				}
			})
			b.disk.recovers()
			b.fails(err, tt.step, "disk", tt.says)
			if loads, why := b.bootable(); loads != tt.loads {
				t.Errorf("the disk starts: %v (%s)", loads, why)
			}
		})
	}
}

// fails checks how an installation ended whose medium failed in a step.
func (b *box) fails(err error, step, medium, says string) {
	t := b.t
	t.Helper()
	t.Logf("%v\n%s", err, installer.RemedyOf(err))
	if err == nil || installer.StatusOf(err) != installer.StatusFailed {
		t.Fatalf("status %d: %v", installer.StatusOf(err), err)
	}
	last := b.failed()
	if last.Kind != installer.StepFailed || last.Step != step {
		t.Errorf("the last event is %s %s, not the failure of %s", last.Kind, last.Step, step)
	}
	if !strings.Contains(err.Error(), says) {
		t.Errorf("it does not say: %s", says)
	}
	remedy := installer.RemedyOf(err)
	if last.Remedy != remedy || remedy == "" {
		t.Errorf("the event's remedy is %q, the error's %q", last.Remedy, remedy)
	}
	if blamed := map[bool]string{true: "disk", false: "stick"}[strings.HasSuffix(remedy, "replace it")]; blamed != medium {
		t.Errorf("the remedy does not name the %s: %s", medium, remedy)
	}
	if done := strings.Fields(b.journaled()); b.said(installer.StepDone) != strings.Join(done, " ") {
		t.Errorf("in the journal: %s, done: %s", done, b.said(installer.StepDone))
	}
	b.othersUnchanged()
}

func (b *box) othersUnchanged() {
	b.t.Helper()
	if diff := cmp.Diff(b.before, b.machine.Sums()); diff != "" {
		b.t.Errorf("another disk was changed:\n%s", diff)
	}
}
