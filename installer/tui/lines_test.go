package tui

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/preseed"
	"github.com/stek-edge/stek/test/golden"
	"github.com/stek-edge/stek/test/machines"
)

// What a person types on the pages of the machine raid-server.
const (
	toEncryption = "\n\n1\n"                                // language, keyboard, disk
	toNetwork    = toEncryption + "\n\n\n"                  // what opens it, recovery shown, office
	pastNode     = toNetwork + "\n\n\n2\n" + "\n\n\n\n\n\n" // network, no tunnel, time servers, on; name, site, zone, key, role, finish
)

// answered runs the line mode with what is typed from the first question on.
func answered(t *testing.T, s Session, typed string) (out string, err error) {
	t.Helper()
	var b bytes.Buffer
	err = RunLines(t.Context(), s, Options{Input: strings.NewReader(typed), Output: &b})
	return b.String(), err
}

// TestLines: the line mode asks the same, and ends with nothing done when the input does.
func TestLines(t *testing.T) {
	for _, tt := range []struct {
		name, typed string
		want        error
	}{
		// A name that is none first; the end of the serial number, save, install.
		{"to the end", toNetwork + "\n\n\n2\n" + "hall 7\nhall-7\n\n\n\n\n\n" + "CONFIRM\n2\n1\n", nil},
		{"the input ends", toEncryption, ErrLeft},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := session(t, "raid-server")
			installed := ""
			s.Install = func(_ context.Context, a *preseed.Answers, p *installer.Plan, _ installer.Person, _ installer.Emit) error {
				installed = p.NodeName
				return nil
			}
			serial := ""
			for _, v := range disk.Choices(s.Inventory) {
				if len(v.Reasons) == 0 {
					serial = v.Disk.Serial
				}
			}
			out, err := answered(t, s, strings.Replace(tt.typed, "CONFIRM", serial[len(serial)-4:], 1))
			if !errors.Is(err, tt.want) || (err == nil) != (installed == "hall-7") {
				t.Errorf("%v, installed %q, want %v\n%s", err, installed, tt.want, out)
			}
			golden.Check(t, filepath.Join("lines", strings.ReplaceAll(tt.name, " ", "-")+".txt"), out)
		})
	}
}

// What the steps say and ask, and what is wrong with an answer, is in the person's language.
func TestLinesInTheLanguageOfThePerson(t *testing.T) {
	for tag, want := range map[string][]string{
		"nl": {"! een hostnaam heeft alleen letters, cijfers en streepjes; gebruik kleine letters", "Openen     1. tpm2: de TPM opent de schijf", "* de bootpartitie maken\n  klaar in 2s\n",
			"Schrijf hem op en typ dan de laatste acht letters: ", "! geen ruimte meer\n  Wat te doen: op de schijf past minder", "[no] niet gelukt: de bootpartitie maken: geen ruimte meer"},
		"de": {"! ein Hostname hat nur Buchstaben, Ziffern und Striche; nehmen Sie kleine", "Entsperren 1. tpm2: das TPM oeffnet das Laufwerk", "* die Boot-Partition anlegen\n  fertig in 2s\n",
			"Schreiben Sie ihn auf, und tippen Sie dann seine letzten acht Buchstaben: ", "! kein Platz mehr\n  Was zu tun ist: das Laufwerk fasst weniger", "[no] nicht gelungen: die Boot-Partition anlegen: kein Platz mehr"},
	} {
		t.Run(tag, func(t *testing.T) {
			s := session(t, "raid-server")
			s.Values["node.language"] = []string{tag}
			s.Install = func(ctx context.Context, _ *preseed.Answers, _ *installer.Plan, person installer.Person, emit installer.Emit) error {
				began := time.Unix(0, 0)
				emit(installer.Event{Time: began, Kind: installer.StepStarted, Step: installer.StepESP, Message: "make the boot partition"})
				emit(installer.Event{Time: began.Add(2 * time.Second), Kind: installer.StepDone, Step: installer.StepESP})
				if _, err := person.Ask(ctx, "Write it down, then type its last eight letters:"); err != nil {
					return err
				}
				failed := &installer.MediumError{Medium: installer.TheDisk, Err: unix.ENOSPC}
				emit(installer.Event{Kind: installer.StepFailed, Step: installer.StepESP, Message: failed.Error(), Remedy: failed.Remedy()})
				return fmt.Errorf("could not make the boot partition: %w", failed)
			}
			out, err := answered(t, s, toNetwork+"\n\n\n2\n"+"hall 7\nhall-7\n\n\n\n\n\n"+"2345\n2\n1\n"+"ABCDEFGH\n")
			for _, text := range want {
				if !strings.Contains(out, text) {
					t.Errorf("%q is not there, %v:\n%s", text, err, out)
				}
			}
		})
	}
}

// Each switch and each of its inputs is asked for once, whatever an answer adds before it.
func TestLinesAskOnce(t *testing.T) {
	s := session(t, "mini-pc")
	s.Scan = wifiInReach
	s.Inventory.NICs = append(s.Inventory.NICs, hardware.NIC{Name: "wlan0", Type: string(preseed.Wireless), MAC: "48:21:0b:12:34:57"})
	s.Ask, s.Values["disk.match.serial"] = []string{"network"}, []string{"1"}
	for _, tt := range []struct{ name, typed, question string }{
		{"a tunnel and a proxy", "\n1,2\n\n\n\n\n\n\n\n\n", "An HTTP proxy"},
		{"the fields of the tunnel", "\n1,2\n\n\n\n\n\n\n\n\n", "Address in the tunnel"},
		{"the fields of the proxy", "\n1,2\n\n\n\n\n\n\n\n", "Address, as http://proxy:3128"},
		{"the networks in reach", "3\n", "Kas 7, "},
		{"after a choice among them", "3\n1\n", "1. ( ) office, "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := answered(t, s, tt.typed)
			want := 1
			if tt.name == "after a choice among them" {
				want = 0
			}
			if n := strings.Count(out, tt.question); n != want || !errors.Is(err, ErrLeft) {
				t.Errorf("%q is there %d times, %v:\n%s", tt.question, n, err, out)
			}
		})
	}
}

// A page with a mistake is not left, also where its button stands beside others.
func TestLinesStayAtMistakes(t *testing.T) {
	out, err := answered(t, session(t, "raid-server"), toNetwork+"2\n\n\n192.168.7.20/24\n192.168.8.1\n\n\n\n\n2\n")
	if !errors.Is(err, ErrLeft) || strings.Contains(out, "== Node") || strings.Count(out, "is outside the subnet") < 2 {
		t.Errorf("%v:\n%s", err, out)
	}
}

// Where nothing on a page can be answered, nothing is repeated before somebody presses Enter.
func TestLinesWithoutADisk(t *testing.T) {
	s := session(t, "raid-server")
	s.Inventory.Disks = nil
	out, err := answered(t, s, "\n\n\n")
	if !errors.Is(err, ErrLeft) || strings.Count(out, "choose a disk first") != 2 {
		t.Errorf("%v:\n%s", err, out)
	}
}

// The layout is that of the answers from the first question on, also where the page about it
// is not shown, and another one as soon as it is typed.
func TestLinesKeyboard(t *testing.T) {
	for _, tt := range []struct {
		name, layout, typed, given string
		ask                        []string
		said                       bool // that the console does not take it
	}{
		{name: "typed, and typed again", typed: "\nde\n<\n<\n\nnl\n", given: "us de nl", said: true},
		{name: "of the answers", layout: "de", ask: []string{"encryption.unlock"}, given: "de"},
		{name: "of the answers, and not taken", layout: "nl", ask: []string{"encryption.unlock"}, given: "nl", said: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k, s := &keyboards{}, session(t, "raid-server")
			s.Keyboard, s.Ask = k.use, tt.ask
			if tt.layout != "" {
				s.Values[keyboardKey] = []string{tt.layout}
			}
			out, _ := answered(t, s, tt.typed)
			if strings.Join(k.given, " ") != tt.given || strings.Contains(out, "! this image has no layout for the keyboard nl") != tt.said {
				t.Errorf("given: %q\n%s", k.given, out)
			}
		})
	}
}

// < goes back a page, from the first one nowhere, and what was answered is still there.
func TestLinesBack(t *testing.T) {
	out, _ := answered(t, session(t, "raid-server"), "<\n2\n\n1\n<\n<\n\n\n")
	if strings.Count(out, "== Welkom") != 1 || strings.Count(out, "== Welcome") != 2 || !strings.Contains(out, "(x) SAMSUNG") {
		t.Errorf("%s", out)
	}
	if en, nl := load("en").text("line.help"), load("nl").text("line.help"); strings.Count(out, en) != 1 || strings.Count(out, nl) != 1 {
		t.Errorf("how to answer is not said once in each language:\n%s", out)
	}
}

// A serial line gets no sign that only some terminals have, in any language.
func TestLinesSigns(t *testing.T) {
	for env, want := range map[string]string{"TERM=vt220": "verschluesselten", "TERM=linux LANG=C.UTF-8": "verschlüsselten"} {
		s := session(t, "raid-server")
		s.Values["node.language"] = []string{"de"}
		var out bytes.Buffer
		if err := RunLines(t.Context(), s, Options{Input: strings.NewReader(""), Output: &out, Env: strings.Fields(env)}); !errors.Is(err, ErrLeft) || !strings.Contains(out.String(), want) {
			t.Errorf("%s: %v\n%s", env, err, out.String())
		}
	}
}

// After a failure a person tries again, changes the answers, saves them or leaves; nothing is
// typed again, no secret either, and the machine is looked at before.
func TestLinesFailure(t *testing.T) {
	for _, tt := range []struct {
		name, typed string
		tries       []func(context.Context) error
		want        string // of the error
	}{
		{"try again", "1\n", []func(context.Context) error{fails, succeeds}, ""},
		{"change the answers", "2\n\n1\n" + "\n\n\n\n\n" + "\n\n\n2\n" + "\n\n\n\n\n\n" + "\n1\n", []func(context.Context) error{fails, succeeds}, ""},
		{"back is change", "<\n\n1\n" + "\n\n\n\n\n" + "\n\n\n2\n" + "\n\n\n\n\n\n" + "\n1\n", []func(context.Context) error{fails, succeeds}, ""},
		{"save all, then leave", "3\n4\n5\n", []func(context.Context) error{fails}, "the disk does not answer"},
		{"the input ends", "", []func(context.Context) error{fails}, "the disk does not answer"},
		{"the input ends later", "2\n\n", []func(context.Context) error{fails}, "the disk does not answer"},
		{"restart on the way", "", []func(context.Context) error{func(context.Context) error { return installer.ErrRestart }}, installer.ErrRestart.Error()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := session(t, "raid-server")
			i, saved, looks := &tries{ends: tt.tries}, 0, 0
			s.Values["encryption.tpm2.pin"] = []string{"ask"}
			s.Install, s.Save = i.install, func([]byte) (string, error) { saved++; return "stek/answers.yaml", nil }
			s.Look = func(context.Context) (*hardware.Inventory, error) {
				looks++
				return machines.Load(t, "raid-server"), nil
			}
			out, err := answered(t, s, "\n\n1\n1\n"+"\nkas 4711\nkas 4711\n\n\n"+"\n\n\n2\n"+"\n\n\n\n\n\n"+"2345\n1\n"+tt.typed)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q\n%s", err, tt.want, out)
			}
			if len(i.pins) != len(tt.tries) || slices.ContainsFunc(i.pins, func(pin string) bool { return pin != "kas 4711" }) {
				t.Errorf("PINs %q\n%s", i.pins, out)
			}
			if save := tt.name == "save all, then leave"; (saved > 0) != save || strings.Contains(out, "saved: stek/reports/S1") != save || strings.Contains(out, load("en").text("line.aborted")) {
				t.Errorf("saved %d times\n%s", saved, out)
			}
			if retried := len(tt.tries) > 1; retried && looks != 1 {
				t.Errorf("the machine was looked at %d times\n%s", looks, out)
			}
		})
	}
}

// atLines is a person at a terminal in the line mode.
type atLines struct {
	t      *testing.T
	person *os.File
	tty    *os.File
	seen   chan string // what came since the last time, until it was waited for
	all    strings.Builder
	ended  chan error
}

func linesAt(t *testing.T, ctx context.Context, s Session) *atLines {
	t.Helper()
	person, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	l := &atLines{t: t, person: person, tty: tty, seen: make(chan string), ended: make(chan error, 1)}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := person.Read(buf)
			if err != nil {
				close(l.seen)
				return
			}
			l.seen <- string(buf[:n])
		}
	}()
	go func() { l.ended <- RunLines(ctx, s, Options{Input: tty, Output: tty}) }()
	return l
}

// sees waits for a text behind what was seen before, and gives what came up to its end.
func (l *atLines) sees(text string) (upTo string) {
	l.t.Helper()
	late := time.After(10 * time.Second)
	for {
		if before, after, found := strings.Cut(l.all.String(), text); found {
			l.all.Reset()
			l.all.WriteString(after)
			return before + text
		}
		select {
		case more := <-l.seen:
			l.all.WriteString(more)
		case <-late:
			l.t.Fatalf("%q is not there:\n%s", text, l.all.String())
		}
	}
}

func (l *atLines) types(text string) {
	l.t.Helper()
	if _, err := io.WriteString(l.person, text); err != nil {
		l.t.Fatal(err)
	}
}

// ends waits for the end, and for the terminal to be as it was.
func (l *atLines) ends(before unix.Termios) error {
	l.t.Helper()
	defer l.person.Close()
	defer l.tty.Close()
	for {
		select {
		case <-l.seen: // so that writing to the terminal does not block
		case err := <-l.ended:
			if now := termios(l.t, l.tty); now != before {
				l.t.Errorf("the terminal is left as %+v, and it was %+v", now, before)
			}
			return err
		case <-time.After(10 * time.Second):
			l.t.Fatal("it does not end")
		}
	}
}

func termios(t *testing.T, tty *os.File) unix.Termios {
	t.Helper()
	now, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *now
}

// At a terminal that sends nobody a signal, as a box's console: Ctrl-C is seen at once and
// asks, a secret is not shown, and the end of the input ends it also where one is typed.
func TestLinesAtATerminal(t *testing.T) {
	const ctrlD = "\x04"
	toPIN := func(l *atLines) {
		l.sees("Number (Enter keeps 1): ")
		l.types("\n\n1\n\n")
		l.sees("PIN: ")
	}
	for _, tt := range []struct {
		name string
		do   func(l *atLines, cancel func())
		want error
	}{
		{"Ctrl-C, no, Ctrl-C, yes", func(l *atLines, _ func()) {
			l.sees("Number (Enter keeps 1): ")
			l.types("3\x03")
			l.sees("Stop? The answers are lost.")
			l.types("7\n1\n")
			l.sees("Number (Enter keeps 1): ")
			l.types("\x03")
			l.sees("2. Yes, stop")
			l.types("2\n")
		}, ErrLeft},
		{"Ctrl-C twice", func(l *atLines, _ func()) {
			l.sees("Number (Enter keeps 1): ")
			l.types("\x03")
			l.sees("2. Yes, stop")
			l.types("\x03")
		}, ErrLeft},
		{"a signal", func(l *atLines, cancel func()) {
			toPIN(l)
			cancel()
		}, ErrLeft},
		{"the end where a secret is typed", func(l *atLines, _ func()) {
			toPIN(l)
			l.types("kas 4711\n")
			l.sees("The same again: ")
			if strings.Contains(l.all.String(), "kas") {
				l.t.Error("the PIN is shown")
			}
			l.types(ctrlD)
			l.sees("the input has ended, so nothing was done")
		}, ErrLeft},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			s := session(t, "raid-server")
			s.Values["encryption.tpm2.pin"] = []string{"ask"}
			s.Install = func(context.Context, *preseed.Answers, *installer.Plan, installer.Person, installer.Emit) error {
				t.Error("it was installed")
				return nil
			}
			l := linesAt(t, ctx, s)
			before := termios(t, l.tty)
			tt.do(l, cancel)
			if err := l.ends(before); !errors.Is(err, tt.want) || installer.StatusOf(err) != installer.StatusAborted {
				t.Errorf("%v", err)
			}
		})
	}
}

// Ctrl-C asks before it stops the steps, also while one of them asks for something; a second
// one stops them, and the page behind says so.
func TestLinesStop(t *testing.T) {
	s := session(t, "raid-server")
	s.Install = func(ctx context.Context, _ *preseed.Answers, _ *installer.Plan, p installer.Person, _ installer.Emit) error {
		_, err := p.Ask(ctx, "Type the last letters:")
		return err
	}
	l := linesAt(t, t.Context(), s)
	before := termios(t, l.tty)
	l.sees("Number (Enter keeps 1): ")
	l.types(pastNode + "2345\n1\n")
	l.sees("Type the last letters: ")
	l.types("\x04\x03") // the end of the input ends no steps, and keeps nobody from stopping them
	l.sees("Stop the installation?")
	l.types("\x03")
	l.sees("== Not installed")
	l.sees("5. End")
	l.types("5\n")
	if err := l.ends(before); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// An answer that has a value is emptied with a sign of its own, where it may be empty: there
// the question says so, and nowhere else.
func TestLinesEmptyAnAnswer(t *testing.T) {
	for _, tt := range []struct {
		name   string
		values map[string]string
		page   string
		id     string
		typed  string
		asks   string
		want   string // the value afterwards
		faulty bool   // asked again
	}{
		{"kept", map[string]string{"node.site": "quay"}, "node", "node.site", "", "Site (Enter keeps quay, - empties it): ", "quay", false},
		{"emptied", map[string]string{"node.site": "quay"}, "node", "node.site", "-", "Site (Enter keeps quay, - empties it): ", "", false},
		{"in Dutch", map[string]string{"node.site": "quay", "node.language": "nl"}, "node", "node.site", "-", "(Enter houdt quay, - maakt het leeg): ", "", false},
		{"in German", map[string]string{"node.site": "quay", "node.language": "de"}, "node", "node.site", "-", "(Enter behält quay, - macht es leer): ", "", false},
		{"a list", map[string]string{"network.ntp": "10.0.0.1"}, "network", "network.ntp", "-", "Time servers (Enter keeps 10.0.0.1, - empties it): ", "", false},
		{"nothing there", nil, "network", "network.ntp", "", "Time servers: ", "", false},
		{"a secret", map[string]string{"network.proxy.url": "http://proxy:3128", "network.proxy.password": "kas 4711", "network.proxy.username": "joe"},
			"network", "network.proxy.password", "-", "Password of the login (- empties it): ", "", false},
		{"more than the sign", map[string]string{"node.site": "quay"}, "node", "node.site", "- 7", "Site (Enter keeps quay, - empties it): ", "- 7", true},
		{"one that has a default", map[string]string{"node.timezone": "Europe/Berlin"}, "node", "node.timezone", "-", "Time zone (Enter keeps Europe/Berlin): ", "-", true},
		{"one that is needed", map[string]string{"network.proxy.url": "http://proxy:3128"}, "network", "network.proxy.url", "-", "Address, as http://proxy:3128 (Enter keeps http://proxy:3128): ", "-", true},
		{"an address that only a gateway needs", map[string]string{link + ".name": "cable", link + ".match.mac": "3c:ec:ef:12:34:56", link + ".addresses": "192.168.7.20/24", link + ".gateway": "192.168.7.1"},
			"network", link + ".addresses", "-", "(Enter keeps 192.168.7.20/24, - empties it): ", "", false},
		{"one that another needs", map[string]string{"node.site": "quay", "node.name": "{site}-{serial}"}, "node", "node.site", "", "Site (Enter keeps quay): ", "quay", false},
		{"a password that is needed", map[string]string{link + ".name": "wifi", link + ".wifi.ssid": "Kas 7", link + ".wifi.security": "wpa2", link + ".wifi.psk": "kas 4711", "network.country": "NL"},
			"network", link + ".wifi.psk", "", "Password of the network: ", "kas 4711", false},
		{"one that is needed here", map[string]string{rolePath: "agent", serverPath: "https://10.77.0.1:6443", tokenPath: "K10a::server:b"}, "node", serverPath, "-",
			"Address of its server, as https://10.77.0.1:6443 (Enter keeps https://10.77.0.1:6443): ", "-", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := session(t, "raid-server")
			for path, value := range tt.values {
				s.Values[path] = []string{value}
			}
			var out bytes.Buffer
			l := &lines{ctx: t.Context(), st: newState(s), out: &out, typist: listen(t.Context(), strings.NewReader(tt.typed+"\n"))}
			page := l.st.page(l.st.at(tt.page))
			i := slices.IndexFunc(page.rows(l.st), func(r row) bool { return r.id == tt.id })
			if i < 0 {
				t.Fatalf("no %s", tt.id)
			}
			r := page.rows(l.st)[i]
			err := l.input(t.Context(), r, func() row { return l.same(page, r) })
			if !strings.Contains(out.String(), tt.asks) || errors.Is(err, errEnded) != tt.faulty {
				t.Errorf("%v, and it asks:\n%s", err, out.String())
			}
			if values := l.st.draft.values[tt.id]; strings.Join(values, ", ") != tt.want {
				t.Errorf("it is %q", values)
			}
		})
	}
}
