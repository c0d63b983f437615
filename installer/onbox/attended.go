package onbox

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/console"
	"github.com/stek-edge/stek/installer/durable"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/keymap"
	"github.com/stek-edge/stek/installer/preseed"
	"github.com/stek-edge/stek/installer/tui"
)

// Show is a way to ask a person: tui.Run or tui.RunLines.
type Show func(ctx context.Context, s tui.Session, o tui.Options) error

// Attended installs this machine, started from a stick, as a person at a terminal says.
func Attended(ctx context.Context, show Show, o tui.Options) error {
	people := console.Open()
	return withStick(ctx, people, func(s *stick, inv *hardware.Inventory) error {
		image, err := s.image()
		if err != nil {
			return err
		}
		rep := newReport(s.esp, inv)
		session, err := s.session(inv, image, rep)
		if err == nil {
			err = show(ctx, session, o)
		}
		people.Say("%s", rep.close(err))
		return err
	})
}

// silent tells whether there is nobody's answer file on the stick, nor where to fetch one.
func (s *stick) silent() bool { return s.missing(answerFile) && s.missing(urlFile) }

func (s *stick) missing(name string) bool {
	_, err := os.Stat(filepath.Join(s.esp, filepath.FromSlash(name)))
	return errors.Is(err, fs.ErrNotExist)
}

// savedAnswers is where a person's answers are kept on the stick. Under this name they
// are only read by people: nobody's machine is erased by them.
const savedAnswers = "stek/answers.yaml"

// attended waits for a person at one of the consoles and asks there. A machine that this
// stick has installed already is started from its disk.
func (s *stick) attended(ctx context.Context, inv *hardware.Inventory, image installer.Image, rep *report, people *console.Consoles) error {
	if made, _ := s.remembers(inv); made.still(inv) {
		return startFromDisk(ctx, s, inv, people)
	}
	people.Say("There is no answer file on the stick, so a person is asked.")
	tty, err := people.Choose(ctx, "Press Enter on the screen or serial line that you want to use:")
	if err != nil {
		return err
	}
	defer quiet()()
	session, err := s.session(inv, image, rep)
	if err != nil {
		return err
	}
	var how string
	install := session.Install
	session.Install = func(ctx context.Context, a *preseed.Answers, p *installer.Plan, person installer.Person, emit installer.Emit) error {
		how = a.OnFinish
		return install(ctx, a, p, person, emit)
	}
	err = tui.Run(ctx, session, tui.Options{Input: tty, Output: tty, Env: terminalEnv(tty.Name())})
	if err != nil {
		return err
	}
	return finish(ctx, how, people)
}

// session is what the screens may do on this machine.
func (s *stick) session(inv *hardware.Inventory, image installer.Image, rep *report) (tui.Session, error) {
	ids, err := installer.LoadIDs(s.journal(inv), rand.Reader)
	if err != nil {
		return tui.Session{}, err
	}
	return tui.Session{
		Inventory: inv, Image: image, IDs: ids, Values: installer.Suggest(inv),
		Keyboard: func(layout string) error { return keymap.Use(keymap.Dir, layout) },
		Save: func(text []byte) (string, error) {
			return savedAnswers, durable.WriteFile(filepath.Join(s.esp, filepath.FromSlash(savedAnswers)), text, 0o644)
		},
		Install: func(ctx context.Context, a *preseed.Answers, p *installer.Plan, person installer.Person, emit installer.Emit) error {
			rep.plan(p, a)
			return s.carryOut(ctx, inv, p, &Answers{Full: a, Given: a}, rep, person, emit)
		},
	}, nil
}

// still tells whether the machine has the disk that was installed, with the table that was
// written to it.
func (m mark) still(inv *hardware.Inventory) bool {
	for _, d := range inv.Disks {
		if m.Disk != "" && m.Disk == d.TableGUID {
			return true
		}
	}
	return false
}

// terminalEnv says what a console of the kernel can show: the screen has colours and
// UTF-8 (console_codes(4)), and of what is at the end of a serial line nothing is known.
func terminalEnv(tty string) []string {
	if strings.HasPrefix(filepath.Base(tty), "ttyS") || strings.HasPrefix(filepath.Base(tty), "ttyAMA") || filepath.Base(tty) == "hvc0" {
		return []string{"TERM=vt220"}
	}
	return []string{"TERM=linux", "LANG=C.UTF-8"}
}

// Signals that have systemd show its status on the console, or not (systemd(1), SIGRTMIN+20
// and +21; glibc's SIGRTMIN is 34).
const (
	statusOn  = unix.Signal(34 + 20)
	statusOff = unix.Signal(34 + 21)
)

// quiet keeps what the kernel and systemd say off the screens, and returns what lets them
// speak again (proc_sys_kernel(5), printk).
func quiet() (restore func()) {
	const knob = "/proc/sys/kernel/printk"
	before, err := os.ReadFile(knob)
	if err == nil {
		_ = os.WriteFile(knob, []byte("1"), 0)
	}
	_ = unix.Kill(1, statusOff)
	return func() {
		_ = unix.Kill(1, statusOn)
		if err == nil {
			_ = os.WriteFile(knob, before, 0)
		}
	}
}
