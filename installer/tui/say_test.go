package tui

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/console"
	"github.com/stek-edge/stek/installer/keymap"
)

// TestWordsOfTheEngine: what comes from the engine while a page is shown, or a step is at
// work, is in the person's language, wherever it is shown.
func TestWordsOfTheEngine(t *testing.T) {
	busy := fmt.Errorf("having wlan0 look for networks: %w", unix.EBUSY)
	const said = "wlan0 naar netwerken laten zoeken: apparaat is bezig"
	for _, tt := range []struct {
		name string
		page string
		of   []any // messages, and the names of keys
		want string
	}{
		{"a scan that failed", "network", []any{scannedMsg{nil, busy}}, said},
		{"a test that failed", "network", []any{testedMsg{busy}}, said},
		{"a look that failed", "disk", []any{lookedMsg{err: busy}}, said},
		{"a keyboard that is not there", "welcome", []any{&keymap.LayoutError{Err: errors.New("this image has no layout for the keyboard de")}}, "! dit image heeft geen indeling voor het toetsenbord de"},
		{"a step", "working", []any{saidMsg("Those are not its last eight letters.")}, "Dat zijn niet de laatste acht letters."},
		{"what a step shows", "working", []any{shownMsg{"The public key of this box's tunnel, for its other end. It is no secret; stek network key shows it again.", "the key"}, askedMsg{question{text: "Press Enter when you have copied it:"}}},
			"De publieke sleutel van de tunnel van deze kast"},
		{"what a step asks", "working", []any{saidMsg("Those are not its last eight letters."), askedMsg{question{text: "Press Enter when you have copied it:"}}}, "Druk op Enter als u hem hebt overgenomen:"},
		{"what is kept of a step", "working", []any{eventMsg(installer.Event{Kind: installer.StepNote, Step: installer.StepState, Message: "making the key slot for tpm2"}), "f2"}, "het sleutelvak voor tpm2 maken"},
		{"a report beside the stick", "working", []any{endMsg{err: busy, report: "stek/reports/S1 on the disk's boot partition"}}, "stek/reports/S1 op de bootpartitie van de schijf"},
		{"answers without a plan", "review", nil, "[no] geen van de schijven is bruikbaar"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := session(t, "raid-server")
			s.Values["node.language"] = []string{"nl"}
			s.Keyboard = func(string) error { return nil }
			for i := range s.Inventory.Disks {
				s.Inventory.Disks[i].ReadOnly = tt.page == "review"
			}
			a := newApp(t.Context(), s, look{mono: true})
			a.Update(tea.WindowSizeMsg{Width: 120, Height: 50})
			switch tt.page {
			case "working":
				choose(t, openPage(a, "disk"), "SAMSUNG")
				a.st.start(mustPlan(t, a))
				a.over(nothing)
			default:
				openPage(a, tt.page)
			}
			for _, m := range tt.of {
				switch m := m.(type) {
				case string:
					press(t, a, m)
				case error:
					a.st.layout, a.st.misfit = a.st.draft.one(keyboardKey), m
					a.refresh()
				default:
					a.Update(m)
				}
			}
			if frame := plain(a); !strings.Contains(strings.Join(strings.Fields(frame), " "), tt.want) {
				t.Errorf("%q is not there:\n%s", tt.want, frame)
			}
		})
	}
}

func openPage(a *app, id string) *app {
	a.open(a.st.at(id))
	return a
}

// TestSayIsQuick: a text that is like many phrases at once takes no time that anybody sees.
func TestSayIsQuick(t *testing.T) {
	p := books["de"]()
	for _, of := range []string{": ; , a b", " is a and b or c", "partition 1: ", ", and remains of a", strings.Repeat("x", 50) + " is "} {
		for _, size := range []int{longest, 100 * longest} {
			text := strings.Repeat(of, size/len(of))
			began := time.Now()
			p.say(text)
			if taken := time.Since(began); taken > 10*time.Second {
				t.Errorf("%d bytes of %q took %v", len(text), of, taken)
			}
		}
	}
}

// What the steps say is translated once, when they say it, and not at each look at the log.
func TestLogIsTranslatedOnce(t *testing.T) {
	s := session(t, "raid-server")
	s.Values["node.language"] = []string{"nl"}
	st := newState(s)
	st.start(&installer.Plan{})
	st.take(installer.Event{Kind: installer.StepStarted, Step: installer.StepESP, Message: "make the boot partition"})
	const want = "* de bootpartitie maken"
	if got := st.log.String(); got != want+"\n" {
		t.Errorf("kept as %q", got)
	}
	if got := logLines(st)[0].text; got != want {
		t.Errorf("shown as %q", got)
	}
}

// What was said is remembered by the session that said it, within bounds.
func TestSaidIsRemembered(t *testing.T) {
	c := messages("nl")
	for range 2 {
		if got := c.say("it is empty"); got != c.phrases.say("it is empty") || len(c.known) != 1 {
			t.Errorf("%q, and %d texts are remembered", got, len(c.known))
		}
	}
	for i := range 2 * mostKnown {
		if c.say(strconv.Itoa(i)); len(c.known) > mostKnown {
			t.Fatalf("%d texts are remembered", len(c.known))
		}
	}
	if other := messages("nl"); len(other.known) > 0 {
		t.Errorf("another session remembers %d texts", len(other.known))
	}
}

// A key that is shown in the line mode is printed as it is, and remembered nowhere.
func TestLinesShowNoSecretToTheBook(t *testing.T) {
	s := session(t, "raid-server")
	s.Values["node.language"] = []string{"nl"}
	var out bytes.Buffer
	l := &lines{st: newState(s), out: &out}
	person := installer.Person(l)
	screen, ok := person.(console.Shower)
	if !ok {
		t.Fatal("the line mode shows nothing")
	}
	const key = "it is empty" // which the book knows
	screen.Show("Write it down, then type its last eight letters:", key)
	if !strings.Contains(out.String(), "\n\n  "+key+"\n") || !strings.Contains(out.String(), "Schrijf hem op") {
		t.Errorf("shown as %q", out.String())
	}
	for text := range l.st.texts.known {
		if strings.Contains(text, key) {
			t.Errorf("remembered: %q", text)
		}
	}
}
