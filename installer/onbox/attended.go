package onbox

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/console"
	"github.com/stek-edge/stek/installer/durable"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/keymap"
	"github.com/stek-edge/stek/installer/network/probe"
	"github.com/stek-edge/stek/installer/preseed"
	"github.com/stek-edge/stek/installer/tui"
)

// Show is a way to ask a person: tui.Run or tui.RunLines.
type Show func(ctx context.Context, s tui.Session, o tui.Options) error

// Attended installs this machine, started from a stick, as a person at a terminal says.
// path is an answer file that leaves some answers to the person; empty: all are asked.
func Attended(ctx context.Context, show Show, o tui.Options, path string) error {
	people := console.Open()
	return withStick(ctx, people, func(s *stick, inv *hardware.Inventory) error {
		image, err := s.image()
		if err != nil {
			return err
		}
		var given *Answers
		if path != "" {
			keys, err := ImageKeys("/")
			if err != nil {
				return err
			}
			if given, err = ReadAnswers(ctx, path, path, inv, keys, people); err != nil {
				return err
			}
		}
		rep := newReport(s.esp, inv)
		session, err := s.session(inv, image, rep, given)
		if err == nil {
			err = ask(ctx, show, session, o, quietOn(o.Input))
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

// attended waits for a person at one of the consoles and asks there: for everything, or for
// what given leaves open. A machine that this stick has installed already is started from
// its disk.
func (s *stick) attended(ctx context.Context, inv *hardware.Inventory, image installer.Image, rep *report, people *console.Consoles, given *Answers) error {
	if made, _ := s.remembers(inv); made.still(inv) {
		return startFromDisk(ctx, s, inv, people)
	}
	if given == nil {
		people.Say("There is no answer file on the stick, so a person is asked.")
	} else {
		people.Say("The answer file leaves some answers to a person: %s.", strings.Join(given.Full.Ask, ", "))
	}
	tty, show, err := chooseConsole(ctx, people)
	if err != nil {
		return err
	}
	session, err := s.session(inv, image, rep, given)
	if err != nil {
		return err
	}
	if err := ask(ctx, show, session, tui.Options{Input: tty, Output: tty, Env: terminalEnv(tty.Name())}, quiet); err != nil {
		return err
	}
	return finish(ctx, s.installed.OnFinish, people)
}

// chooseConsole waits until a person says at which console to ask, and whether on the whole
// screen or line by line.
func chooseConsole(ctx context.Context, people *console.Consoles) (*os.File, Show, error) {
	people.Say("For questions line by line, as a screen reader reads them, type l and press Enter.")
	tty, typed, err := people.Choose(ctx, "Press Enter on the screen or serial line that you want to use:")
	if err != nil {
		return nil, nil, err
	}
	if strings.EqualFold(strings.TrimSpace(typed), "l") {
		return tty, tui.RunLines, nil
	}
	return tty, tui.Run, nil
}

// ask has a person answer at a terminal on which nobody else says anything.
func ask(ctx context.Context, show Show, session tui.Session, o tui.Options, quiet func() (restore func())) error {
	defer quiet()()
	return show(ctx, session, o)
}

// session is what the screens may do on this machine. given are the answers of a file that
// leaves some to the person; nil: there is no file.
func (s *stick) session(inv *hardware.Inventory, image installer.Image, rep *report, given *Answers) (tui.Session, error) {
	ids, err := installer.LoadIDs(s.journal(inv), rand.Reader)
	if err != nil {
		return tui.Session{}, err
	}
	session := tui.Session{
		Inventory: inv, Image: image, IDs: ids, Report: rep.where, SaveReport: rep.save,
		Keyboard: func(layout string) error { return keymap.Use(keymap.Dir, layout) },
		Look:     func(ctx context.Context) (*hardware.Inventory, error) { return hardware.Look(ctx, hardware.Host()) },
		Cards:    probe.Cards,
		Scan:     scan,
		Test:     (&lan{}).test,
		Files:    filesToTake(s.esp),
		Save: func(text []byte) (string, error) {
			return savedAnswers, durable.WriteFile(filepath.Join(s.esp, filepath.FromSlash(savedAnswers)), text, 0o644)
		},
		Install: func(ctx context.Context, a *preseed.Answers, p *installer.Plan, person installer.Person, emit installer.Emit) error {
			rep.plan(p, a)
			err := s.carryOut(ctx, inv, p, &Answers{Full: a, Given: a}, rep, person, emit)
			if err != nil {
				rep.failed(err) // the person may leave the screen as it is
			}
			return err
		},
	}
	earlier, resumed := s.earlier(inv)
	switch {
	case given != nil:
		session.Values, session.Ask = preseed.Flatten(given.Full), given.Full.Ask
	case resumed:
		session.Values, session.Resumed = earlier, true
	default:
		session.Values = installer.Suggest(inv)
	}
	return session, nil
}

// filesToTake are what somebody left in the stick's folder for the screens: tunnels,
// certificates and keys. What cannot be read, or is too long to be one, is not offered.
func filesToTake(esp string) []tui.File {
	const longest = 64 << 10 // bytes; a chain of certificates has a few thousand
	entries, err := os.ReadDir(filepath.Join(esp, "stek"))
	if err != nil {
		return nil
	}
	var files []tui.File
	for _, e := range entries {
		name := e.Name()
		if !e.Type().IsRegular() || !slices.Contains([]string{".conf", ".pem", ".crt", ".key"}, strings.ToLower(filepath.Ext(name))) {
			continue
		}
		text, err := readStart(filepath.Join(esp, "stek", name), longest+1)
		if err == nil && len(text) <= longest && utf8.Valid(text) {
			files = append(files, tui.File{Name: "stek/" + name, Text: string(text)})
		}
	}
	return files
}

// earlier are the answers of a try at this machine that was cut off, or that has restarted
// it to go on.
func (s *stick) earlier(inv *hardware.Inventory) (values map[string][]string, ok bool) {
	if _, err := os.Stat(s.journal(inv)); err != nil {
		return nil, false
	}
	text, err := readStart(filepath.Join(s.reports(inv), answersFile), preseed.MaxSize)
	if err != nil {
		return nil, false
	}
	a, err := preseed.Parse(answersFile, text)
	if err != nil {
		return nil, false // whoever changed it knows why; the person starts anew
	}
	values = preseed.Flatten(a)
	for path := range values {
		if key, known := preseed.Lookup(path); known && key.Secret && path != "encryption.tpm2.pin" {
			delete(values, path) // it stands for a secret that is nowhere
		}
	}
	if a.Network.VPN.Config != "" {
		values["network.vpn.wireguard.private-key"] = []string{preseed.GenerateKey} // there was a tunnel: the page asks for it again
	}
	return values, true
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

// quietOn is quiet where a person is asked at a console of the machine: what the kernel says
// goes to no other terminal.
func quietOn(input io.Reader) func() (restore func()) {
	if f, ok := input.(*os.File); ok {
		if name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.Fd())); err == nil && isConsole(name) {
			return quiet
		}
	}
	return func() (restore func()) { return func() {} }
}

// isConsole tells whether a terminal is one that the kernel may write to, and none of a
// login over the network (pts(4)).
func isConsole(name string) bool {
	return name == "/dev/console" || strings.HasPrefix(name, "/dev/tty") || strings.HasPrefix(name, "/dev/hvc")
}

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
