package tui

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/network/probe"
	"github.com/stek-edge/stek/installer/preseed"
	"github.com/stek-edge/stek/test/golden"
)

func captured(t testing.TB, name string) *hardware.Inventory {
	t.Helper()
	f, err := os.Open(filepath.Join("../../test/machines", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	inv, err := hardware.Load(f)
	if err != nil {
		t.Fatal(err)
	}
	return inv
}

// session is one on a machine whose one free disk is chosen.
func session(t testing.TB, machine string) Session {
	t.Helper()
	ids, err := disk.NewIDs(rand.NewChaCha8([32]byte{1}))
	if err != nil {
		t.Fatal(err)
	}
	return Session{
		Inventory: captured(t, machine), IDs: ids,
		Image: installer.Image{Version: "1.0", K3s: "v1.30.0", RootHash: strings.Repeat("ab", 32), RootBytes: 200 << 20, HashOffset: 190 << 20, KeysToEnrol: true},
		Values: map[string][]string{
			"encryption.unlock": {"tpm2"}, "encryption.recovery.show": {"true"},
		},
		Install: func(context.Context, *preseed.Answers, *installer.Plan, installer.Person, installer.Emit) error {
			return nil
		},
		Test: func(context.Context, preseed.Network, func(probe.Verdict)) error { return nil },
		Save: func([]byte) (string, error) { return "stek/preseed.yaml", nil },
	}
}

// press sends keys by their names.
func press(t testing.TB, a *app, keys ...string) tea.Cmd {
	t.Helper()
	var cmd tea.Cmd
	for _, k := range keys {
		_, cmd = a.Update(keyNamed(k))
	}
	return cmd
}

func keyNamed(name string) tea.KeyPressMsg {
	special := map[string]rune{"enter": tea.KeyEnter, "down": tea.KeyDown, "up": tea.KeyUp, "esc": tea.KeyEscape, "tab": tea.KeyTab,
		"pgdown": tea.KeyPgDown, "backspace": tea.KeyBackspace, "f1": tea.KeyF1, "f2": tea.KeyF2, "f3": tea.KeyF3, "space": tea.KeySpace, "home": tea.KeyHome, "end": tea.KeyEnd}
	if code, ok := special[name]; ok {
		return tea.KeyPressMsg{Code: code}
	}
	if rest, ok := strings.CutPrefix(name, "ctrl+"); ok {
		return tea.KeyPressMsg{Code: []rune(rest)[0], Mod: tea.ModCtrl}
	}
	r := []rune(name)[0]
	return tea.KeyPressMsg{Code: r, Text: name}
}

// typeText types a text letter by letter.
func typeText(t testing.TB, a *app, text string) {
	t.Helper()
	for _, r := range text {
		press(t, a, string(r))
	}
}

// ahead goes to the next page by its last button.
func ahead(t testing.TB, a *app) {
	t.Helper()
	for i, r := range a.rows {
		if r.strict {
			a.goTo(i)
		}
	}
	before := a.at
	press(t, a, "enter")
	if a.at == before && a.st.phase == asking {
		t.Fatalf("page %s is not left:\n%s", a.page().id, plain(a))
	}
}

func plain(a *app) string {
	var out []string
	for line := range strings.SplitSeq(ansi.Strip(a.View().Content), "\n") {
		out = append(out, strings.TrimRight(line, " "))
	}
	return strings.Join(out, "\n") + "\n"
}

// typeInto types into the input of that name, from nothing.
func typeInto(t testing.TB, a *app, id, text string) {
	t.Helper()
	i := slices.IndexFunc(a.rows, func(r row) bool { return r.kind == input && r.id == id })
	if i < 0 {
		t.Fatalf("no input %s:\n%s", id, plain(a))
	}
	a.goTo(i)
	press(t, a, "ctrl+u")
	typeText(t, a, text)
}

// choose takes the option or switch whose text begins so.
func choose(t testing.TB, a *app, text string) {
	t.Helper()
	for i, r := range a.rows {
		if strings.HasPrefix(r.text, text) && r.takesFocus() {
			a.goTo(i)
			press(t, a, "enter")
			return
		}
	}
	t.Fatalf("nothing to choose begins with %q:\n%s", text, plain(a))
}

// TestFrames: every page in every language, at the size that is enough and at a larger
// one, with the signs of every terminal and with ASCII alone. The files in testdata/frames
// are what a person sees.
func TestFrames(t *testing.T) {
	sizes := []struct{ width, height int }{{80, 24}, {120, 40}}
	for _, l := range languages {
		for _, size := range sizes {
			for _, signs := range []string{"unicode", "ascii"} {
				name := fmt.Sprintf("%s-%dx%d-%s", l.tag, size.width, size.height, signs)
				t.Run(name, func(t *testing.T) {
					s := session(t, "raid-server")
					s.Values["node.language"] = []string{l.tag}
					a := newApp(t.Context(), s, look{ascii: signs == "ascii", mono: true})
					a.Update(tea.WindowSizeMsg{Width: size.width, Height: size.height})
					var pages strings.Builder
					show := func() {
						frame := plain(a)
						for line := range strings.Lines(frame) {
							if n := ansi.StringWidth(strings.TrimRight(line, "\n")); n > size.width {
								t.Errorf("a line of %d signs: %s", n, line)
							}
						}
						if n := strings.Count(frame, "\n"); n != size.height {
							t.Errorf("%d lines on page %s, not %d", n, a.page().id, size.height)
						}
						fmt.Fprintf(&pages, "%s\n%s", strings.Repeat("=", size.width), frame)
					}
					for _, p := range a.st.screens {
						show()
						switch p.id {
						case "disk":
							choose(t, a, "SAMSUNG")
							show()
						case "encryption":
							choose(t, a, a.st.t("pin"))
							typeInto(t, a, "new.tpm2", "12345678")
							show()
							typeInto(t, a, "again.tpm2", "12345678")
							show()
						case "network":
							choose(t, a, a.st.t("network.cable"))
							typeInto(t, a, link+".addresses", "192.168.7.20/24, 192.168.7.300")
							show()
							typeInto(t, a, link+".addresses", "192.168.7.20/24")
							typeInto(t, a, link+".gateway", "192.168.8.1")
							show()
							typeInto(t, a, link+".gateway", "192.168.7.1")
							a.Update(cardsMsg{{Name: "eno1", MAC: "3c:ec:ef:00:00:01", On: true, Carrier: true, Addresses: []netip.Prefix{netip.MustParsePrefix("192.168.7.113/24")}},
								{Name: "eno2", MAC: "3c:ec:ef:00:00:02", On: true}})
							a.st.tested = a.st.draft.changed
							a.Update(verdictMsg{Stage: probe.Carrier, Of: "cable", Outcome: probe.Passed, Saw: "carrier on eno1, 1000 Mbit/s"})
							a.Update(verdictMsg{Stage: probe.Gateway, Of: "cable", Outcome: probe.Failed, Saw: "192.168.7.1 does not answer", Do: "check the address of the gateway"})
							press(t, a, "pgdown")
							show()
						}
						if p.id != "review" {
							ahead(t, a)
						}
					}
					press(t, a, "pgdown")
					show()
					a.st.start(mustPlan(t, a))
					a.over(nothing)
					show()
					a.Update(endMsg{&installer.Refusal{Status: installer.StatusFailed, Message: "could not copy the root file system: writing at byte 4096: input/output error", Remedy: "the disk is failing: replace it"}})
					show()
					a.Update(endMsg{})
					show()
					press(t, a, "f1")
					show()
					press(t, a, "esc", "ctrl+c")
					show()
					// A machine whose firmware waits for keys has one page more.
					s = session(t, "mini-pc")
					s.Values["node.language"] = []string{l.tag}
					at, page := newApp(t.Context(), s, look{ascii: signs == "ascii", mono: true}), a
					at.Update(tea.WindowSizeMsg{Width: size.width, Height: size.height})
					at.open(at.st.at("boot"))
					choose(t, at, at.st.t("boot.enrol"))
					*page = *at
					show()
					golden.Check(t, filepath.Join("frames", name+".txt"), pages.String())
				})
			}
		}
	}
}

func mustPlan(t testing.TB, a *app) *installer.Plan {
	t.Helper()
	p, _, err := a.st.plan()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// toReview goes through the pages with what they offer.
func toReview(t testing.TB, a *app, disk string) {
	t.Helper()
	for a.page().id != "review" {
		if a.page().id == "disk" {
			choose(t, a, disk)
		}
		ahead(t, a)
	}
}

// TestReviewIsThePlan: what a person agrees to is the plan, word for word, and every word
// of it can be scrolled into sight on the smallest screen.
func TestReviewIsThePlan(t *testing.T) {
	a := newApp(t.Context(), session(t, "raid-server"), look{mono: true})
	toReview(t, a, "SAMSUNG")
	var seen strings.Builder
	for range 10 {
		seen.WriteString(plain(a))
		press(t, a, "pgdown")
	}
	var want strings.Builder
	if err := installer.WritePlan(&want, mustPlan(t, a)); err != nil {
		t.Fatal(err)
	}
	shown := strings.Join(strings.Fields(seen.String()), " ")
	for line := range strings.Lines(want.String()) {
		for _, word := range strings.Fields(line) {
			if !strings.Contains(shown, word) {
				t.Errorf("the review does not show %q of %q", word, line)
			}
		}
	}
}

// TestConsent: the installation begins only after the end of the serial number was typed.
func TestConsent(t *testing.T) {
	for _, tt := range []struct {
		name, typed string
		begins      bool
	}{
		{"nothing", "", false},
		{"another disk's", "0001", false},
		{"too little", "05", false},
		{"the disk's", "", true},
		{"in small letters", "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			began := false
			s := session(t, "raid-server")
			s.Install = func(_ context.Context, a *preseed.Answers, p *installer.Plan, _ installer.Person, _ installer.Emit) error {
				began = a.Disk.Erase && p.Disk.Chosen.Serial != ""
				return nil
			}
			a := newApp(t.Context(), s, look{mono: true})
			a.send = func(tea.Msg) {}
			toReview(t, a, "SAMSUNG")
			typed := tt.typed
			if tt.begins {
				typed = confirmation(mustPlan(t, a))
			}
			if tt.name == "in small letters" {
				typed = strings.ToLower(typed)
			}
			for i, r := range a.rows {
				if r.id == "confirm" {
					a.goTo(i)
				}
			}
			typeText(t, a, typed)
			for i, r := range a.rows {
				if r.text == a.st.t("install") {
					a.goTo(i)
				}
			}
			if cmd := press(t, a, "enter"); cmd != nil {
				a.Update(cmd())
			}
			if !tt.begins && a.rows[a.focus].id != "confirm" {
				t.Errorf("what is to be mended does not have the focus:\n%s", plain(a))
			}
			if began != tt.begins {
				t.Errorf("typed %q: begun %v, want %v\n%s", typed, began, tt.begins, plain(a))
			}
		})
	}
}

// TestAnswersStay: after going back and after a failure everything is as it was.
func TestAnswersStay(t *testing.T) {
	s := session(t, "raid-server")
	fails := errors.New("the disk is gone")
	s.Install = func(context.Context, *preseed.Answers, *installer.Plan, installer.Person, installer.Emit) error {
		return fails
	}
	a := newApp(t.Context(), s, look{mono: true})
	a.send = func(tea.Msg) {}
	for a.page().id != "node" {
		if a.page().id == "disk" {
			choose(t, a, "SAMSUNG")
		}
		ahead(t, a)
	}
	a.goTo(0)
	press(t, a, "ctrl+u")
	typeText(t, a, "quay-q7?") // neither q nor ? is a command while somebody types
	if a.overlay != nothing || a.st.draft.one("node.name") != "quay-q7?" {
		t.Fatalf("typed: %q", a.st.draft.one("node.name"))
	}
	if !strings.Contains(plain(a), "! ") {
		t.Errorf("a name with a question mark has no fault beside it:\n%s", plain(a))
	}
	press(t, a, "backspace")
	press(t, a, "esc", "esc", "esc", "esc")
	toReview(t, a, "SAMSUNG")
	if got := a.st.draft.one("node.name"); got != "quay-q7" {
		t.Errorf("after going back the name is %q", got)
	}
	a.Update(a.begin()())
	if a.page().id != "failed" || !strings.Contains(plain(a), "the disk is gone") {
		t.Fatalf("after a failure:\n%s", plain(a))
	}
	press(t, a, "esc")
	if a.page().id != "disk" || a.st.draft.one("node.name") != "quay-q7" {
		t.Errorf("to change the answers: page %s, name %q", a.page().id, a.st.draft.one("node.name"))
	}
}

// TestStop: Ctrl-C asks, and a yes stops the steps.
func TestStop(t *testing.T) {
	s := session(t, "raid-server")
	s.Install = func(ctx context.Context, _ *preseed.Answers, _ *installer.Plan, _ installer.Person, _ installer.Emit) error {
		<-ctx.Done()
		return ctx.Err()
	}
	a := newApp(t.Context(), s, look{mono: true})
	a.send = func(tea.Msg) {}
	toReview(t, a, "SAMSUNG")
	work := a.begin()
	ended := make(chan tea.Msg, 1)
	go func() { ended <- work() }()
	press(t, a, "ctrl+c", "enter") // the first button goes on
	if a.overlay != nothing || a.st.phase != working {
		t.Fatal("No does not go on")
	}
	press(t, a, "ctrl+c", "down", "enter")
	a.Update(<-ended)
	if a.st.phase != over || !errors.Is(a.st.outcome, context.Canceled) {
		t.Errorf("after Yes: phase %v, outcome %v", a.st.phase, a.st.outcome)
	}
}

// TestPerson: what a step asks is asked on the screen, unseen, and the answer gets back.
func TestPerson(t *testing.T) {
	a := newApp(t.Context(), session(t, "raid-server"), look{mono: true})
	msgs := make(chan tea.Msg, 8)
	a.send = func(m tea.Msg) { msgs <- m }
	toReview(t, a, "SAMSUNG")
	a.st.start(mustPlan(t, a))
	a.over(nothing)
	p := person{func(m any) { a.send(m) }}
	got := make(chan string, 1)
	go func() {
		p.Show("The key", "The key is abc.")
		b, err := p.Ask(t.Context(), "Type the first group:")
		got <- fmt.Sprint(string(b), err)
	}()
	a.Update(<-msgs)
	a.Update(<-msgs)
	typeText(t, a, "secret")
	frame := plain(a)
	if !strings.Contains(frame, "The key is abc.") || !strings.Contains(frame, "Type the first group:") || !strings.Contains(frame, "******") || strings.Contains(frame, "secret") {
		t.Errorf("the question:\n%s", frame)
	}
	choose(t, a, a.st.t("picture"))
	if frame := plain(a); !strings.Contains(frame, "█") || strings.Contains(frame, "The key is abc.") {
		t.Errorf("the picture:\n%s", frame)
	}
	press(t, a, "esc")
	choose(t, a, a.st.t("continue"))
	if answer := <-got; answer != "secret<nil>" {
		t.Errorf("the step got %q", answer)
	}
	if !strings.Contains(plain(a), "The key is abc.") {
		t.Error("what the step said is gone before it has ended")
	}
	a.Update(eventMsg{Kind: installer.StepDone, Step: installer.StepCheck})
	if strings.Contains(plain(a), "The key is abc.") {
		t.Error("what the step said is still there when it has ended")
	}
}

// verbs are the places for arguments.
var verbs = regexp.MustCompile(`%[a-z0-9.]+`)

// TestMessages: every language has every text that English has, with the same places for
// arguments, and no title or button is too long for its line.
func TestMessages(t *testing.T) {
	english := load("en")
	for _, l := range languages {
		c := load(l.tag)
		for id, text := range english.texts {
			own, ok := c.texts[id]
			switch {
			case !ok || own == "":
				t.Errorf("%s has no %s", l.tag, id)
			case !slices.Equal(verbs.FindAllString(own, -1), verbs.FindAllString(text, -1)):
				t.Errorf("%s: %s has other places for arguments: %q", l.tag, id, own)
			case strings.HasPrefix(id, "title.") && len([]rune(own)) > 30, strings.HasPrefix(id, "help.") && len([]rune(own)) > 10:
				t.Errorf("%s: %s is too long: %q", l.tag, id, own)
			}
			if l.tag != "en" && toASCII(own) != own && strings.Contains(toASCII(own), "?") && !strings.Contains(own, "?") {
				t.Errorf("%s: %s has a letter that ASCII has no spelling for: %q", l.tag, id, own)
			}
		}
		for id := range c.texts {
			if _, ok := english.texts[id]; !ok {
				t.Errorf("%s has %s, which English has not", l.tag, id)
			}
		}
	}
}

// TestTextsAreThere: a page that asks for a text which is nowhere shows its name.
func TestTextsAreThere(t *testing.T) {
	for _, machine := range []string{"raid-server", "mini-pc", "bios-box", "vm", "twin-disks"} {
		st := newState(session(t, machine))
		for _, s := range screens {
			if s.fits != nil && !s.fits(st) {
				continue
			}
			for _, r := range s.rows(st) {
				for _, text := range []string{r.text, r.note, r.fault} {
					if text != "" && !strings.Contains(text, " ") && strings.Contains(text, ".") && strings.ToLower(text) == text {
						t.Errorf("%s, %s: is %q a text?", machine, s.id, text)
					}
				}
			}
		}
	}
}

// TestHomeEnd: to the first and the last line that takes the focus.
func TestHomeEnd(t *testing.T) {
	a := newApp(t.Context(), session(t, "raid-server"), look{mono: true})
	a.open(a.st.at("network"))
	press(t, a, "home")
	if got := a.rows[a.focus].text; got != a.st.t("network.dhcp") {
		t.Errorf("home leads to %q", got)
	}
	press(t, a, "end")
	if got := a.rows[a.focus].text; got != a.st.t("continue") {
		t.Errorf("end leads to %q", got)
	}
}

// TestLook: what a terminal can show.
func TestLook(t *testing.T) {
	for _, tt := range []struct {
		name string
		env  []string
		want look
	}{
		{"a desk", []string{"TERM=xterm-256color", "LANG=nl_NL.UTF-8"}, look{}},
		{"a serial line", []string{"TERM=vt220", "LANG=C.UTF-8"}, look{ascii: true, mono: true}},
		{"the console", []string{"TERM=linux", "LANG=C.UTF-8"}, look{}},
		{"an old locale", []string{"TERM=xterm", "LANG=de_DE.UTF-8", "LC_ALL=C"}, look{ascii: true}},
		{"no colours", []string{"TERM=xterm", "LANG=C.utf8", "NO_COLOR=1"}, look{mono: true}},
		{"nothing", nil, look{ascii: true, mono: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := lookOf(tt.env); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

// TestNoSize: a terminal of 0 by 0 gets a page.
func TestNoSize(t *testing.T) {
	if got := sized(nil, tea.WindowSizeMsg{}); got != (tea.WindowSizeMsg{Width: 80, Height: 24}) {
		t.Errorf("%+v", got)
	}
}
