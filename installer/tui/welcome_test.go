package tui

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/stek-edge/stek/installer/keymap"
)

// keyboards is a console that has no layout for the Netherlands, and may take none at all.
type keyboards struct {
	given  []string
	refuse error
}

func (k *keyboards) use(layout string) error {
	k.given = append(k.given, layout)
	if layout == "nl" {
		_, err := keymap.Read("testdata", layout)
		return err
	}
	return k.refuse
}

// The layout is that of the answer from the first key press on, and another one as soon as its
// field is left.
func TestKeyboard(t *testing.T) {
	for _, tt := range []struct {
		name   string
		values []string
		ask    []string
		typed  []string
		keys   []string
		given  []string
	}{
		{name: "of the answers", values: []string{"de"}, given: []string{"de"}},
		{name: "of the answers, and its page is not shown", values: []string{"de"}, ask: []string{"node.name"}, given: []string{"de"}},
		{name: "typed, and left by Enter", typed: []string{"de"}, keys: []string{"enter"}, given: []string{"us", "de"}},
		{name: "typed, and left upwards", typed: []string{"de"}, keys: []string{"up"}, given: []string{"us", "de"}},
		{name: "typed, and the keys are read", typed: []string{"de"}, keys: []string{"f1"}, given: []string{"us", "de"}},
		{name: "still typed", typed: []string{"de"}, given: []string{"us"}},
		{name: "back again", typed: []string{"de", "us"}, keys: []string{"enter"}, given: []string{"us", "de", "us"}},
		{name: "left out", typed: []string{"de", ""}, keys: []string{"enter"}, given: []string{"us", "de", "us"}},
		{name: "the same", typed: []string{"de", "de"}, keys: []string{"enter"}, given: []string{"us", "de"}},
		{name: "no layout at all", typed: []string{"querty"}, keys: []string{"enter"}, given: []string{"us"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k, s := &keyboards{}, session(t, "raid-server")
			s.Keyboard, s.Ask = k.use, tt.ask
			if tt.values != nil {
				s.Values[keyboardKey] = tt.values
			}
			a := newApp(t.Context(), s, look{mono: true})
			for i, text := range tt.typed {
				if i > 0 {
					press(t, a, "enter")
				}
				typeInto(t, a, keyboardKey, text)
			}
			press(t, a, tt.keys...)
			if !slices.Equal(k.given, tt.given) {
				t.Errorf("given %q, want %q", k.given, tt.given)
			}
		})
	}
}

// A layout that the console does not take is a fault at its field, and the page is not left
// with it.
func TestKeyboardThatIsNotTaken(t *testing.T) {
	k, s := &keyboards{}, session(t, "raid-server")
	s.Keyboard = k.use
	a := newApp(t.Context(), s, look{mono: true})
	typeInto(t, a, keyboardKey, "nl")
	press(t, a, "enter", "enter")
	if page := plain(a); a.at != 0 || a.edited != keyboardKey || !strings.Contains(page, "! this image has no layout for the keyboard nl") {
		t.Fatalf("page %d, typed into %q:\n%s", a.at, a.edited, page)
	}
	typeInto(t, a, keyboardKey, "de")
	if strings.Contains(plain(a), "has no layout") {
		t.Errorf("the fault of another layout is shown:\n%s", plain(a))
	}
	press(t, a, "enter", "enter")
	if a.at != 1 {
		t.Errorf("the page is not left:\n%s", plain(a))
	}
	s.Values[keyboardKey], s.Ask = []string{"nl"}, []string{"node.name"}
	if page := plain(newApp(t.Context(), s, look{mono: true})); !strings.Contains(page, "has no layout") {
		t.Errorf("where the answers name it:\n%s", page)
	}
}

// A console that takes no layout, whichever is chosen, says so and keeps nobody from going on.
func TestKeyboardOfAConsoleThatTakesNone(t *testing.T) {
	const why = "setting the layout of the keyboard: the console is gone"
	for _, layout := range []string{"us", "de"} {
		t.Run(layout, func(t *testing.T) {
			k, s := &keyboards{refuse: errors.New(why)}, session(t, "raid-server")
			s.Keyboard = k.use
			a := newApp(t.Context(), s, look{mono: true})
			typeInto(t, a, keyboardKey, layout)
			press(t, a, "enter")
			if page := plain(a); !a.focused() || a.rows[a.focus].id != "continue" || !strings.Contains(page, why) || strings.Contains(page, "! "+why) {
				t.Fatalf("the focus is on row %d:\n%s", a.focus, page)
			}
			press(t, a, "enter")
			if a.at != 1 {
				t.Errorf("the page is not left:\n%s", plain(a))
			}
			out, err := answered(t, s, "\n"+layout+"\n")
			if !errors.Is(err, ErrLeft) || !strings.Contains(out, why) || !strings.Contains(out, "== Disk") {
				t.Errorf("line by line, %v:\n%s", err, out)
			}
		})
	}
}
