package tui

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/network/probe"
	"github.com/stek-edge/stek/installer/preseed"
	"github.com/stek-edge/stek/test/machines"
)

func session(t testing.TB, machine string) Session {
	t.Helper()
	ids, err := disk.NewIDs(rand.NewChaCha8([32]byte{1}))
	if err != nil {
		t.Fatal(err)
	}
	return Session{
		Inventory: machines.Load(t, machine), IDs: ids,
		Image: installer.Image{Version: "1.0", K3s: "v1.30.0", RootHash: strings.Repeat("ab", 32), RootBytes: 200 << 20, HashOffset: 190 << 20, KeysToEnrol: true},
		Values: map[string][]string{
			"encryption.unlock": {"tpm2"}, "encryption.recovery.show": {"true"},
		},
		Install: func(context.Context, *preseed.Answers, *installer.Plan, installer.Person, installer.Emit) error {
			return nil
		},
		Test:       func(context.Context, preseed.Network, func(probe.Verdict)) error { return nil },
		Save:       func([]byte) (string, error) { return "stek/preseed.yaml", nil },
		SaveReport: func(error) (string, error) { return "stek/reports/S1", nil },
	}
}

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

func typeText(t testing.TB, a *app, text string) {
	t.Helper()
	for _, r := range text {
		press(t, a, string(r))
	}
}

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

// focusOn goes to an input.
func focusOn(t testing.TB, a *app, id string) {
	t.Helper()
	i := slices.IndexFunc(a.rows, func(r row) bool { return r.kind == input && r.id == id })
	if i < 0 {
		t.Fatalf("no input %s:\n%s", id, plain(a))
	}
	a.goTo(i)
}

func typeInto(t testing.TB, a *app, id, text string) {
	t.Helper()
	focusOn(t, a, id)
	press(t, a, "ctrl+u")
	typeText(t, a, text)
}

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

func mustPlan(t testing.TB, a *app) *installer.Plan {
	t.Helper()
	p, _, err := a.st.plan()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func toReview(t testing.TB, a *app, disk string) {
	t.Helper()
	for a.page().id != "review" {
		if a.page().id == "disk" {
			choose(t, a, disk)
		}
		ahead(t, a)
	}
}
