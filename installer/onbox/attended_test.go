package onbox

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/console"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/tui"
	"github.com/stek-edge/stek/test/machines"
)

// What was left on the stick to be taken is offered; answers, long files and what is no
// text are not.
func TestFilesToTake(t *testing.T) {
	esp := t.TempDir()
	if got := filesToTake(esp); got != nil {
		t.Errorf("from a stick without the folder: %v", got)
	}
	for name, content := range map[string]string{
		"wg0.conf": "[Interface]\n", "office.PEM": "-----BEGIN", "preseed.yaml": "stek: 1\n", "long.conf": strings.Repeat("#", 64<<10+1),
		"binary.key": "\xff\xfe", "reports/other.conf": "",
	} {
		path := filepath.Join(esp, "stek", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := filesToTake(esp)
	if len(got) != 2 || got[0].Name != "stek/office.PEM" || got[1].Name != "stek/wg0.conf" || got[1].Text != "[Interface]\n" {
		t.Errorf("offered: %v", got)
	}
}

// A tunnel by a wg0.conf holds a secret, which is kept nowhere: a try that goes on after a
// restart asks for the tunnel again and does not do without it.
func TestEarlierAsksForTheTunnelAgain(t *testing.T) {
	s := &stick{esp: t.TempDir()}
	inv := &hardware.Inventory{}
	if err := os.MkdirAll(s.reports(inv), 0o755); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{
		s.journal(inv): "",
		filepath.Join(s.reports(inv), answersFile): "stek: 1\nsecrets: {file: secrets.age}\nencryption: {recovery: {show: true}}\nnetwork: {vpn: {config: secret:wg0}}\n",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	values, ok := s.earlier(inv)
	if !ok || len(values["network.vpn.config"]) > 0 || len(values["network.vpn.wireguard.private-key"]) == 0 {
		t.Errorf("%v: %v", ok, values)
	}
}

// The screens tell where the report of a try is, and have it saved again.
func TestSessionHasTheReport(t *testing.T) {
	s, inv := &stick{esp: t.TempDir()}, &hardware.Inventory{Board: hardware.Board{Serial: "AB/1"}}
	rep := newReport(s.esp, inv)
	session, err := s.session(inv, installer.Image{}, rep, nil)
	must(t, err)
	if where := session.Report(); where != "" {
		t.Errorf("before the first try it is in %q", where)
	}
	lost := errors.New("the disk is gone")
	rep.failed(lost)
	where, err := session.SaveReport(lost)
	if err != nil || where != rep.folder || session.Report() != rep.folder {
		t.Errorf("in %q, saved in %q: %v", session.Report(), where, err)
	}
}

// A stick without answers asks nobody at a machine that it has installed, as long as the
// disk is the one it was.
func TestStill(t *testing.T) {
	inv := &hardware.Inventory{Disks: []hardware.Disk{{Path: "/dev/sda"}, {Path: "/dev/nvme0n1", TableGUID: "g-1"}}}
	for _, tt := range []struct {
		name string
		mark mark
		want bool
	}{
		{"never installed", mark{}, false},
		{"its disk is there", mark{Disk: "g-1"}, true},
		{"another disk, or divided anew", mark{Disk: "g-2"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.mark.still(inv); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

// A serial line gets no sign that only some terminals have; the console's screen does.
func TestTerminalEnv(t *testing.T) {
	for tty, want := range map[string]string{"/dev/ttyS0": "vt220", "/dev/ttyAMA0": "vt220", "/dev/hvc0": "vt220", "/dev/tty0": "linux", "/dev/tty1": "linux"} {
		if got := terminalEnv(tty); !strings.HasSuffix(got[0], want) {
			t.Errorf("%s: %v", tty, got)
		}
	}
}

// The kernel is quiet while a person is asked, and no longer, however that ends.
func TestAsk(t *testing.T) {
	for name, want := range map[string]error{"installed": nil, "not installed": errors.New("the disk does not answer")} {
		t.Run(name, func(t *testing.T) {
			var did []string
			note := func(what string) { did = append(did, what) }
			show := func(context.Context, tui.Session, tui.Options) error { note("asked"); return want }
			quiet := func() func() { note("quiet"); return func() { note("restored") } }
			if err := ask(t.Context(), show, tui.Session{}, tui.Options{}, quiet); !errors.Is(err, want) {
				t.Errorf("%v", err)
			}
			if got := strings.Join(did, ", "); got != "quiet, asked, restored" {
				t.Errorf("%s", got)
			}
		})
	}
}

// The kernel writes to the machine's own terminals, and to none of a login over the network.
func TestIsConsole(t *testing.T) {
	for name, want := range map[string]bool{"/dev/tty1": true, "/dev/ttyS0": true, "/dev/ttyAMA0": true, "/dev/hvc0": true, "/dev/console": true,
		"/dev/pts/0": false, "/dev/null": false, "pipe:[4711]": false} {
		if got := isConsole(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Enter at a console takes the whole screen there, and l the lines.
func TestChooseConsole(t *testing.T) {
	const wholeScreen, lines = "\x1b[?1049h", "== Welcome"
	const yes, second = "\x1b[B\r", "2\r" // to the question whether to stop: down to it, or its number
	for _, tt := range []struct{ name, typed, sees, not, stop string }{
		{"Enter", "\r", wholeScreen, lines, yes},
		{"l and Enter", "l\r", lines, wholeScreen, second},
		{"a capital letter, mistyped first", "k\x7fL\r", lines, wholeScreen, second},
		{"something else", "x\r", wholeScreen, lines, yes},
	} {
		t.Run(tt.name, func(t *testing.T) {
			person, tty, err := pty.Open()
			if err != nil {
				t.Fatal(err)
			}
			defer person.Close()
			defer tty.Close()
			if err := pty.Setsize(tty, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
				t.Fatal(err)
			}
			seen := make(chan string, 1024)
			go func() {
				buf := make([]byte, 4096)
				for n, err := person.Read(buf); err == nil; n, err = person.Read(buf) {
					seen <- string(buf[:n])
				}
			}()
			sees := func(text string) (all string) {
				t.Helper()
				for late := time.After(10 * time.Second); !strings.Contains(all, text); {
					select {
					case more := <-seen:
						all += more
					case <-late:
						t.Fatalf("%q is not there:\n%q", text, all)
					}
				}
				return all
			}
			types := func(text string) {
				t.Helper()
				if _, err := person.WriteString(text); err != nil {
					t.Fatal(err)
				}
			}
			ctx, ended := t.Context(), make(chan error, 1)
			go func() {
				tty, show, err := chooseConsole(ctx, console.On(tty))
				if err == nil {
					err = show(ctx, tui.Session{Inventory: machines.Load(t, "raid-server")}, tui.Options{Input: tty, Output: tty, Env: terminalEnv("/dev/ttyS0")})
				}
				ended <- err
			}()
			if all := sees("that you want to use: "); !strings.Contains(all, "type l and press Enter") {
				t.Errorf("it is not said how: %q", all)
			}
			types(tt.typed)
			if all := sees(tt.sees); strings.Contains(all, tt.not) {
				t.Errorf("both ways: %q", all)
			}
			types("\x03")
			sees("Stop?")
			types(tt.stop)
			if err := <-ended; !errors.Is(err, tui.ErrLeft) {
				t.Errorf("it ended with %v", err)
			}
		})
	}
}
