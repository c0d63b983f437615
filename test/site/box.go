package site

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/stek-edge/stek/installer/vault"
	"github.com/stek-edge/stek/test/vm"
)

// Box is the site's box while it is switched on.
type Box struct {
	*vm.Box
	site *Site
}

// PowerOn switches the box on.
func (s *Site) PowerOn(ctx context.Context) (*Box, error) { return s.PowerOnAs(ctx, s.Machine) }

// PowerOnAs switches on a variant of the site's machine: without the stick, say, or
// with another TPM.
func (s *Site) PowerOnAs(ctx context.Context, m vm.Machine) (*Box, error) {
	b, err := m.PowerOn(ctx)
	if err != nil {
		return nil, err
	}
	return &Box{Box: b, site: s}, nil
}

// WithoutStick is the site's machine with the stick pulled.
func (s *Site) WithoutStick() vm.Machine {
	m := s.Machine
	m.Disks = slices.Clone(m.Disks[1:]) // to be changed without changing the site's
	return m
}

// How long a step may take on an emulated processor that others use as well. They
// end a test that hangs, and measure nothing.
const (
	installWithin = 25 * time.Minute
	startWithin   = 10 * time.Minute
	readyWithin   = 25 * time.Minute
)

// WaitInstalled waits until the installer says that it is done.
func (b *Box) WaitInstalled(ctx context.Context) (vm.Match, error) {
	return b.expect(ctx, installWithin, `Installed\. The machine starts from its disk`)
}

// WaitEnrolled waits until the installer has enrolled the Secure Boot keys and starts
// the box again.
func (b *Box) WaitEnrolled(ctx context.Context) (vm.Match, error) {
	return b.expect(ctx, installWithin, `starts again from the stick now`)
}

// WaitOpened waits until stage1 says what has opened the disk.
func (b *Box) WaitOpened(ctx context.Context) (vm.Match, error) {
	return b.expect(ctx, startWithin, `volume opened by (\S+) \(slot (\d+)\)`)
}

// WaitLocked waits until stage1 asks for the recovery key.
func (b *Box) WaitLocked(ctx context.Context) (vm.Match, error) {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	return b.Console.ExpectPrompt(ctx, `Recovery key:`)
}

// TypePIN waits until stage1 asks for the PIN and types one.
func (b *Box) TypePIN(ctx context.Context, pin string) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	if _, err := b.Console.ExpectPrompt(ctx, `PIN of this box:`); err != nil {
		return err
	}
	return b.Console.Send(pin)
}

// WaitReady waits until the box says that it is ready.
func (b *Box) WaitReady(ctx context.Context) (vm.Match, error) {
	return b.expect(ctx, readyWithin, `This box is ready`)
}

func (b *Box) expect(ctx context.Context, within time.Duration, patterns ...string) (vm.Match, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return b.Console.Expect(ctx, patterns...)
}

// LogIn logs in as root on the serial console.
func (b *Box) LogIn(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	for {
		if err := b.Console.Send(""); err != nil {
			return err
		}
		short, done := context.WithTimeout(ctx, 20*time.Second)
		_, err := b.Console.ExpectPrompt(short, `login: $`)
		done()
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return fmt.Errorf("waiting for the login prompt: %w", err)
		}
	}
	if err := b.Console.Send("root"); err != nil {
		return err
	}
	if _, err := b.Console.ExpectPrompt(ctx, `assword: ?$`); err != nil {
		return err
	}
	if err := b.Console.Send(Password); err != nil {
		return err
	}
	if _, err := b.Console.ExpectPrompt(ctx, `# $`); err != nil {
		return err
	}
	_, err := b.Run(ctx, "stty -echo cols 500; export PAGER=cat TERM=dumb; dmesg -n 1; setterm --msg off 2>/dev/null; true")
	return err
}

var unique int

// Run runs a command in the logged-in shell and returns what it printed. A command
// that fails is an error with its output.
func (b *Box) Run(ctx context.Context, command string) (string, error) {
	unique++
	begin, end := fmt.Sprintf("begin-%d-", unique), fmt.Sprintf("end-%d-", unique)
	// The markers are put together by printf, so that an echo of the command is none.
	line := fmt.Sprintf(`printf '%%s%%s\n' begin- %d-; { %s; } 2>&1; printf '\n%%s%%s%%s\n' end- %d- $?`, unique, command, unique)
	if err := b.Console.Send(line); err != nil {
		return "", err
	}
	if _, err := b.Console.Expect(ctx, regexp.QuoteMeta(begin)); err != nil {
		return "", err
	}
	before := len(b.Console.Lines())
	m, err := b.Console.Expect(ctx, "^"+regexp.QuoteMeta(end)+`(\d+)`)
	if err != nil {
		return "", err
	}
	var out []string
	for _, l := range b.Console.Lines()[before-1:] {
		if strings.HasPrefix(l.Text, end) {
			break
		}
		if !strings.HasSuffix(strings.TrimRight(l.Text, "\r"), begin) {
			out = append(out, strings.TrimRight(l.Text, "\r"))
		}
	}
	text := strings.TrimSpace(strings.Join(out, "\n"))
	if m.Groups[0] != "0" {
		return text, fmt.Errorf("%s: exit status %s: %s", command, m.Groups[0], text)
	}
	return text, nil
}

// RecoveryKey decrypts the recovery key that the installer left on the stick, as
// the office would.
func (s *Site) RecoveryKey(ctx context.Context) (string, error) {
	file := filepath.Join(s.Dir, "recovery-key.age")
	if err := s.Fetch(ctx, "stek/reports/"+BoxSerial+"/recovery-key.age", file); err != nil {
		return "", err
	}
	sealed, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer sealed.Close()
	key, err := vault.DecryptRecoveryKey(sealed, s.Recovery)
	if err != nil {
		return "", fmt.Errorf("decrypting the recovery key: %w", err)
	}
	return key.Reveal(), nil
}
