package onbox

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/console"
	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/keymap"
	"github.com/stek-edge/stek/installer/preseed"
)

const (
	stickDir   = "/run/stek/stick"
	workDir    = "/run/stek"
	cmdline    = "/proc/cmdline"
	efivars    = "/sys/firmware/efi/efivars"
	tpmDevice  = "/dev/tpmrm0"
	answerFile = "stek/preseed.yaml" // on the stick's FAT partition
)

// Unattended installs the machine that it runs on, by the answer file on the stick.
// Everything that a person should know goes to every console.
func Unattended(ctx context.Context) error {
	people := console.Open()
	keepInMemory()
	where, err := unattended(ctx, people)
	switch {
	case errors.Is(err, installer.ErrRestart):
		return restart(ctx, people)
	case err == nil:
		return nil
	}
	people.Say("\nThis machine was not installed.")
	var faults preseed.Faults
	if errors.As(err, &faults) {
		for _, f := range faults {
			people.Say("%v", f)
		}
		people.Say("Mend %s, on any computer, and start again.", whereToMend(faults))
		people.Say("Nothing on this machine's disks was changed; %s.", where)
		return err
	}
	var disks *disk.Refusal
	if errors.As(err, &disks) {
		people.Say("%s", disks.Text())
		people.Say("Nothing on this machine's disks was changed. You may switch it off now; %s.", where)
		return err
	}
	people.Say("%v", err)
	if remedy := installer.RemedyOf(err); remedy != "" && !strings.Contains(err.Error(), remedy) {
		people.Say("What to do: %s.", remedy)
	}
	people.Say("You may switch the machine off now; %s.", where)
	return err
}

// keepInMemory has the kernel keep all of this program in memory. It lies on the
// stick: when that is pulled, the part that says so must be there already, or the
// kernel ends the program in the middle of a sentence.
func keepInMemory() { _ = unix.Mlockall(unix.MCL_CURRENT) }

// unattended does the work and tells where its report is.
func unattended(ctx context.Context, people *console.Consoles) (where string, err error) {
	where = "there is no report"
	err = withStick(ctx, people, func(s *stick, inv *hardware.Inventory) error {
		rep := newReport(s.esp, inv)
		err := s.install(ctx, inv, rep, people)
		where = rep.close(err)
		return err
	})
	return where, err
}

// withStick looks at the machine and lends the stick that it was started from.
func withStick(ctx context.Context, people installer.Person, do func(*stick, *hardware.Inventory) error) error {
	inv, err := hardware.Look(ctx, hardware.Host())
	if err != nil {
		return err
	}
	s, err := mountStick(inv, stickDir)
	if err != nil {
		return err
	}
	for _, note := range s.notes {
		people.Say("%s", note)
	}
	defer func() {
		if err := s.unmount(); err != nil {
			people.Say("the stick could not be unmounted: %v", err)
		}
	}()
	return do(s, inv)
}

// install installs the machine by the answers on the stick.
func (s *stick) install(ctx context.Context, inv *hardware.Inventory, rep *report, people *console.Consoles) error {
	image, err := s.image()
	if err != nil {
		return err
	}
	people.Say("stek %s, installer (k3s %s)", image.Version, image.K3s)
	if s.silent() {
		return s.attended(ctx, inv, image, rep, people, nil)
	}
	answers, err := s.answers(ctx, inv, people)
	if s.outOfReach(inv, err) {
		people.Say("%v", err)
		return startFromDisk(ctx, s, inv, people)
	}
	if err != nil {
		return err
	}
	if len(answers.Full.Ask) > 0 {
		return s.attended(ctx, inv, image, rep, people, answers)
	}
	useKeyboard(answers.Full, people)
	made, known := s.remembers(inv)
	plan, err := s.plan(inv, answers.Full, image)
	var refused *disk.Refusal
	switch {
	case errors.As(err, &refused) && refused.Kind == disk.RefusedHoldsStek && known:
		return startFromDisk(ctx, s, inv, people)
	case err != nil:
		return err
	case made.again(plan.Disk.Chosen, answers.Given):
		return startFromDisk(ctx, s, inv, people)
	}
	rep.plan(plan, answers.Given)
	people.Say("The plan:")
	_ = installer.WritePlan(people, plan)
	lines := installer.PlainLines(people)
	if err := s.carryOut(ctx, inv, plan, answers, rep, people, lines); err != nil {
		return err
	}
	return finish(ctx, answers.Full.OnFinish, people)
}

// carryOut installs, with every event in the report, and remembers on the stick that it did.
func (s *stick) carryOut(ctx context.Context, inv *hardware.Inventory, plan *installer.Plan, answers *Answers, rep *report, person installer.Person, emit installer.Emit) error {
	err := installer.Run(ctx, plan, s.site(answers.Full, person), func(e installer.Event) {
		rep.event(e)
		emit(e)
	})
	rep.tried(err)
	if err != nil {
		return err
	}
	s.installed = plan
	if err := s.remember(inv, newMark(plan, answers.Given, time.Now())); err != nil {
		person.Say("%v", err) // the machine is installed all the same
	}
	return installer.CloseJournal(s.journal(inv))
}

// whereToMend names the file that has the faults.
func whereToMend(faults preseed.Faults) string {
	if name := faults[0].File; strings.HasPrefix(name, "https://") {
		return name
	} else if name == urlFile {
		return urlFile + " on the stick"
	}
	return answerFile + " on the stick"
}

// answers reads the answer file on the stick, or the one that the stick names.
func (s *stick) answers(ctx context.Context, inv *hardware.Inventory, people installer.Person) (*Answers, error) {
	path := filepath.Join(s.esp, filepath.FromSlash(answerFile))
	keys, err := ImageKeys("/")
	if err != nil {
		return nil, err
	}
	if s.elsewhere() {
		if !s.missing(answerFile) {
			return nil, &installer.Refusal{Status: installer.StatusInvalid, Message: "the stick has both " + answerFile + " and " + urlFile, Remedy: "remove one of them"}
		}
		return s.remote(inv, people).answers(ctx, keys)
	}
	return ReadAnswers(ctx, path, answerFile, inv, keys, people)
}

// readStart reads the first bytes of a file: enough to see that it is too large, and
// never more than the machine has memory for.
func readStart(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

// reason is an error without the path, which means nothing to a technician.
func reason(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

func (s *stick) site(answers *preseed.Answers, people installer.Person) *installer.Site {
	_, consoles := people.(*console.Consoles) // all of them, with nobody in front perhaps
	return &installer.Site{Attended: !consoles,
		Machine: hardware.Host(), Answers: answers, StickESP: s.esp, Root: s.root, EFIVars: efivars, Shadow: "/etc/shadow", Keymaps: keymap.Dir,
		TPM: tpmDevice, WorkDir: workDir, Tools: installer.Tools{}, Person: people, Now: time.Now,
	}
}

// Install installs this machine, started from a stick, by an answer file that a
// person named on the command line. The plan is made here: it takes the image on the
// stick and the identities that an interrupted try has left there.
func Install(ctx context.Context, path string, emit installer.Emit) error {
	people := console.Open()
	return withStick(ctx, people, func(s *stick, inv *hardware.Inventory) error {
		rep := newReport(s.esp, inv)
		err := s.installBy(ctx, inv, path, rep, emit, people)
		people.Say("%s", rep.close(err))
		return err
	})
}

func (s *stick) installBy(ctx context.Context, inv *hardware.Inventory, path string, rep *report, emit installer.Emit, people installer.Person) error {
	keys, err := ImageKeys("/")
	if err != nil {
		return err
	}
	answers, err := ReadAnswers(ctx, path, path, inv, keys, people)
	if err != nil {
		return err
	}
	image, err := s.image()
	if err != nil {
		return err
	}
	useKeyboard(answers.Full, people)
	plan, err := s.plan(inv, answers.Full, image)
	if err != nil {
		return err
	}
	rep.plan(plan, answers.Given)
	return s.carryOut(ctx, inv, plan, answers, rep, people, emit)
}

// useKeyboard sets the layout of the consoles before a new secret is asked for: a
// passphrase typed in another layout opens no disk.
func useKeyboard(answers *preseed.Answers, people installer.Person) {
	if err := keymap.Use(keymap.Dir, answers.Node.Keyboard); err != nil {
		people.Say("%v", err)
	}
}

func (s *stick) journal(inv *hardware.Inventory) string {
	return installer.JournalPath(s.esp, inv.Board.Serial)
}

// plan makes the plan, with the identities that an interrupted try has left on the
// stick.
func (s *stick) plan(inv *hardware.Inventory, answers *preseed.Answers, image installer.Image) (*installer.Plan, error) {
	ids, err := installer.LoadIDs(s.journal(inv), rand.Reader)
	if err != nil {
		return nil, err
	}
	return installer.Make(answers, inv, image, ids)
}
