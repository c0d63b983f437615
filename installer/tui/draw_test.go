package tui

import (
	"errors"
	"slices"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/stek-edge/stek/installer"
)

// A notice stands above the help, which stays, and takes nothing of what has the focus out of
// sight; one that is too long says that it goes on.
func TestNotices(t *testing.T) {
	for _, tt := range []struct {
		name, notice string
		lines        []string
	}{
		{"none", "", nil},
		{"of one line", "saved: stek/answers.yaml", []string{"saved: stek/answers.yaml"}},
		{"of several", "node.name: bad\nnode.site: bad\n", []string{"node.name: bad; node.site: bad"}},
		{"wider than the screen", strings.Repeat("disk ", 20), []string{strings.TrimSpace(strings.Repeat("disk ", 16)), "disk disk disk disk"}},
		{"too long", strings.Repeat("disk ", 200), []string{1: "", 5: ""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newApp(t.Context(), many(t), look{mono: true})
			a.open(a.st.at("disk"))
			press(t, a, "end", "up", "up")
			a.Update(testedMsg{})
			focused := a.rows[a.focus].text
			if tt.notice != "" {
				a.Update(testedMsg{errors.New(tt.notice)})
			}
			frame := strings.Split(strings.TrimSuffix(plain(a), "\n"), "\n")
			if len(frame) != leastHeight || !strings.Contains(frame[leastHeight-1], a.st.t("help")) {
				t.Fatalf("%d lines, the last is %q", len(frame), frame[len(frame)-1])
			}
			if !strings.Contains(strings.Join(frame, "\n"), "> ( ) "+focused[:20]) {
				t.Errorf("what has the focus is out of sight:\n%s", plain(a))
			}
			notices := a.notices()
			if len(notices) != len(tt.lines) || len(notices) > 0 && !slices.Equal(frame[leastHeight-2-len(notices):leastHeight-2], notices) {
				t.Fatalf("%q in\n%s", notices, plain(a))
			}
			for i, want := range tt.lines {
				if want != "" && notices[i] != want {
					t.Errorf("line %d is %q, want %q", i, notices[i], want)
				}
			}
			if tt.name == "too long" && !strings.HasSuffix(notices[5], "…") {
				t.Errorf("nothing says that %q goes on", notices[5])
			}
		})
	}
}

// While the machine is looked at the screen says so, whatever is pressed.
func TestLookingIsSaid(t *testing.T) {
	f := failed(t)
	f.keys("enter", "down")
	if !strings.Contains(plain(f.app), f.st.t("looking")) {
		t.Errorf("while looking:\n%s", plain(f.app))
	}
	f.Update(lookedMsg{f.st.Inventory, nil})
	if strings.Contains(plain(f.app), f.st.t("looking")) {
		t.Errorf("afterwards:\n%s", plain(f.app))
	}
}

// No line of the frame is cut, and the help has room for all that it says, in every language.
func TestHelpFits(t *testing.T) {
	for _, l := range languages {
		for _, ascii := range []bool{false, true} {
			s := session(t, "raid-server")
			s.Values["node.language"] = []string{l.tag}
			a := newApp(t.Context(), s, look{ascii: ascii, mono: true})
			if line := a.help(true); ansi.StringWidth(line) > leastWidth || !strings.HasSuffix(line, a.help(false)) {
				t.Errorf("%s: %d columns: %q", l.tag, ansi.StringWidth(line), line)
			}
		}
	}
}

// What is said of the end is what happens at it, and leaving loses nothing then.
func TestEndings(t *testing.T) {
	for how, says := range map[string]string{"reboot": "starts from its disk now", "poweroff": "switches itself off", "stay": "It waits."} {
		s := session(t, "raid-server")
		s.Values["on-finish"] = []string{how}
		a := newApp(t.Context(), s, look{mono: true})
		toReview(t, a, "SAMSUNG")
		a.Update(endMsg{})
		page := strings.Join(strings.Fields(plain(a)), " ")
		if !strings.Contains(page, says) || a.st.left > 0 == (how == "stay") {
			t.Errorf("%s, %d s left:\n%s", how, a.st.left, page)
		}
		press(t, a, "ctrl+c")
		if strings.Contains(plain(a), a.st.t("quit.ask")) {
			t.Errorf("%s: to leave:\n%s", how, plain(a))
		}
	}
	a := newApp(t.Context(), session(t, "raid-server"), look{mono: true})
	a.Update(endMsg{err: &installer.Refusal{Message: "the disk is gone"}})
	press(t, a, "ctrl+c")
	if !strings.Contains(plain(a), a.st.t("quit.ask")) {
		t.Errorf("to leave after a failure:\n%s", plain(a))
	}
}

// A notice is wrapped once for a width, and anew when what it says, the width or the signs
// are others.
func TestNoticeIsWrappedOnce(t *testing.T) {
	a := newApp(t.Context(), session(t, "raid-server"), look{mono: true})
	a.Update(testedMsg{errors.New(strings.Repeat("größe ", 20))})
	first := a.notices()
	for _, tt := range []struct {
		name string
		msg  tea.Msg
		same bool
	}{
		{"whatever comes", cardsMsg(nil), true},
		{"another height", tea.WindowSizeMsg{Width: leastWidth, Height: 40}, true},
		{"another width", tea.WindowSizeMsg{Width: 100, Height: 40}, false},
		{"another notice", testedMsg{errors.New("the cable is out")}, false},
	} {
		a.Update(tt.msg)
		a.View()
		now := a.notices()
		if same := &now[0] == &first[0]; same != tt.same {
			t.Errorf("%s: the same lines: %v", tt.name, same)
		}
		first = now
	}
	a.st.notice = "größe"
	a.look.ascii = true
	if got := a.notices(); got[0] != "groesse" {
		t.Errorf("in plain signs: %q", got)
	}
	// One that was cut for a low screen is whole on a high one.
	a.st.notice, a.height = strings.Repeat("disk ", 200), leastHeight
	cut := len(a.notices())
	if a.height = 80; len(a.notices()) <= cut || strings.Contains(strings.Join(a.notices(), ""), "...") {
		t.Errorf("%d lines, then %q", cut, a.notices())
	}
}
