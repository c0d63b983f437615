package tui

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/stek-edge/stek/test/golden"
)

// english are words that no other language has, and no machine in its data.
var english = regexp.MustCompile(`\b(the|and|with|which|from|this|that|disk|are)\b`)

// frames are pages as a person sees them on one terminal, in one language.
type frames struct {
	*testing.T
	name, language string
	width, height  int
	look           look
	pages          strings.Builder
}

// everyLook has pages shown in each language, at the size that is enough and at a larger one,
// with the signs of every terminal and with ASCII alone, and once in colours. What was shown
// is compared with a file of the folder, which a person can read.
func everyLook(t *testing.T, folder string, do func(f *frames)) {
	var all []*frames
	for _, l := range languages {
		for _, size := range []struct{ width, height int }{{leastWidth, leastHeight}, {120, 40}} {
			for _, signs := range []string{"unicode", "ascii"} {
				all = append(all, &frames{name: fmt.Sprintf("%s-%dx%d-%s", l.tag, size.width, size.height, signs),
					language: l.tag, width: size.width, height: size.height, look: look{ascii: signs == "ascii", mono: true}})
			}
		}
	}
	all = append(all, &frames{name: fmt.Sprintf("en-%dx%d-colours", leastWidth, leastHeight), language: "en", width: leastWidth, height: leastHeight})
	for _, f := range all {
		t.Run(f.name, func(t *testing.T) {
			f.T = t
			do(f)
			golden.Check(t, filepath.Join("frames", folder, f.name+".txt"), f.pages.String())
		})
	}
}

// app is a program on that terminal.
func (f *frames) app(s Session) *app {
	f.Helper()
	s.Values["node.language"] = []string{f.language}
	a := newApp(f.Context(), s, f.look)
	a.send = func(tea.Msg) {}
	a.Update(tea.WindowSizeMsg{Width: f.width, Height: f.height})
	return a
}

// show keeps what is on the screen, and finds what does not fit it.
func (f *frames) show(a *app) {
	f.Helper()
	for _, line := range a.lines() {
		if n := ansi.StringWidth(line); n > f.width {
			f.Errorf("a line of %d signs is cut: %s", n, line)
		}
	}
	frame := a.View().Content
	if f.language != "en" && english.MatchString(frame) {
		f.Errorf("English on page %s: %q", a.page().id, english.FindString(frame))
	}
	if n := strings.Count(frame, "\n") + 1; n != f.height {
		f.Errorf("%d lines on page %s, not %d", n, a.page().id, f.height)
	}
	fmt.Fprintf(&f.pages, "%s\n", strings.Repeat("=", f.width))
	for line := range strings.SplitSeq(frame, "\n") {
		fmt.Fprintln(&f.pages, strings.TrimRight(f.readable(line), " "))
	}
}

// whole shows a page from its top to its end.
func (f *frames) whole(a *app) {
	f.Helper()
	a.top = 0
	f.show(a)
	for a.top+a.body() < len(a.draw(a.width)) {
		press(f, a, "pgdown")
		f.show(a)
	}
}

// rendition is a control sequence that colours what follows it (ECMA-48, 8.3.117).
var rendition = regexp.MustCompile(`\x1b\[([0-9;]*)m`)

// renditions are those that the screens use, as they are written in the files.
var renditions = map[string]string{"": "{}", "1": "{bold}", "7": "{cursor}", "32": "{green}", "33": "{yellow}", "91": "{red}"}

// readable writes colours as words. Without colours nothing but the cursor is told so, and
// that stays out of the files.
func (f *frames) readable(line string) string {
	line = rendition.ReplaceAllStringFunc(line, func(sequence string) string {
		word, known := renditions[rendition.FindStringSubmatch(sequence)[1]]
		switch {
		case !known, f.look.mono && word != "{}" && word != "{cursor}":
			f.Errorf("%q is on the screen", sequence)
		case f.look.mono:
			return ""
		}
		return word
	})
	if strings.Contains(line, "\x1b") {
		f.Errorf("a control sequence is on the screen: %q", line)
	}
	return line
}
