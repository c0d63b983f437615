package tui

import (
	"fmt"
	"slices"
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/stek-edge/stek/installer"
)

// styles are what colours a page, beside its signs: nothing is told by colour alone. No
// text is faint: the kernel's console makes that a grey that nobody reads in daylight, and
// its plain red is hardly better, so that faults are in the bright one.
type styles struct{ title, bold, green, yellow, red lipgloss.Style }

func stylesOf(l look) styles {
	if l.mono {
		plain := lipgloss.NewStyle()
		return styles{plain, plain, plain, plain, plain}
	}
	colour := func(c string) lipgloss.Style { return lipgloss.NewStyle().Foreground(lipgloss.Color(c)) }
	bold := lipgloss.NewStyle().Bold(true)
	return styles{title: bold, bold: bold, green: colour("2"), yellow: colour("3"), red: colour("9")}
}

// longestLine keeps texts readable on wide terminals.
const longestLine = 110

// drawn is a line of a page, and the row that it belongs to.
type drawn struct {
	text string
	row  int
}

// draw makes the lines of a page's rows. Those without the focus are kept until something
// changes: a machine may have hundreds of disks.
func (a *app) draw(width int) []drawn {
	var lines []drawn
	width = min(width, longestLine)
	if a.unfocused == nil || a.drawnAt != width {
		a.unfocused, a.drawnAt = map[int][]string{}, width
	}
	for i, r := range a.rows {
		if i > 0 && parted(a.rows[i-1], r) {
			lines = append(lines, drawn{"", i})
		}
		texts, kept := a.unfocused[i], i != a.focus
		if !kept || texts == nil {
			texts = a.drawRow(r, i == a.focus, width)
		}
		if kept {
			a.unfocused[i] = texts
		}
		for _, text := range texts {
			lines = append(lines, drawn{text, i})
		}
	}
	return lines
}

// parted tells whether an empty line stands between two rows.
func parted(before, r row) bool {
	return before.kind == paragraph || r.kind == heading || r.kind == button && before.kind != button || r.kind == paragraph
}

// spell gives a text in the signs that the terminal has, before it is laid out: some
// letters become two.
func (a *app) spell(text string) string {
	if a.look.ascii {
		return toASCII(text)
	}
	return text
}

func (a *app) drawRow(r row, focused bool, width int) []string {
	r.text, r.note, r.fault, r.value = a.spell(r.text), a.spell(r.note), a.spell(r.fault), a.spell(r.value)
	cursor, style := "  ", lipgloss.NewStyle()
	if focused {
		cursor, style = "> ", a.styles.bold
	}
	mark := marks(r)
	indent := 2 + len(mark)
	text := r.text
	if r.kind == input {
		text = strings.TrimSuffix(text, ":") + ": " // a step's question has one
	}
	switch {
	case r.kind == input && !focused:
		text += shownValue(r)
	case r.kind == input:
		a.edit.SetWidth(max(10, width-indent-ansi.StringWidth(text)-1))
		text += a.edit.View()
	case r.kind == button:
		text = "[ " + text + " ]"
	}
	var lines []string
	for i, line := range wrap(text, width-indent, r.hang) {
		switch {
		case i == 0:
			line = cursor + a.colour(r, mark) + style.Render(line)
		case r.kind == paragraph:
			line = "  " + line
		default:
			line = strings.Repeat(" ", indent) + style.Render(line)
		}
		lines = append(lines, line)
	}
	below := func(text string, style lipgloss.Style) {
		for _, line := range wrap(text, width-indent-2, 0) {
			lines = append(lines, strings.Repeat(" ", indent+2)+style.Render(line))
		}
	}
	if r.note != "" && (focused || r.kind != input) {
		below(r.note, lipgloss.NewStyle())
	}
	if r.fault != "" {
		below("! "+r.fault, a.styles.red)
	}
	return lines
}

// marks is the sign before a row.
func marks(r row) string {
	switch {
	case r.kind == option && r.barred:
		return "(-) "
	case r.kind == option && r.on:
		return "(x) "
	case r.kind == option:
		return "( ) "
	case r.kind == check && r.barred:
		return "[-] "
	case r.kind == check && r.on:
		return "[x] "
	case r.kind == check:
		return "[ ] "
	case r.kind == finding:
		return map[installer.Light]string{installer.Green: "[ok] ", installer.Yellow: "[ !] ", installer.Red: "[no] ", "": "[  ] "}[r.light]
	}
	return ""
}

func (a *app) colour(r row, mark string) string {
	switch r.light {
	case installer.Green:
		return a.styles.green.Render(mark)
	case installer.Yellow:
		return a.styles.yellow.Render(mark)
	case installer.Red:
		return a.styles.red.Render(mark)
	}
	return mark
}

func shownValue(r row) string {
	if r.secret {
		return strings.Repeat("*", len([]rune(r.value)))
	}
	return r.value
}

// wrap breaks a text into lines; hang indents what goes on.
func wrap(text string, width, hang int) []string {
	var lines []string
	for paragraph := range strings.SplitSeq(text, "\n") {
		// The first line has all the room, what goes on has less.
		first, rest := paragraph, ""
		if ansi.StringWidth(paragraph) > width {
			first, _, _ = strings.Cut(ansi.Wrap(paragraph, max(10, width), " "), "\n")
			rest = strings.TrimLeft(paragraph[len(first):], " ")
		}
		lines = append(lines, first)
		if rest == "" {
			continue
		}
		for line := range strings.SplitSeq(ansi.Wrap(rest, max(10, width-hang), " "), "\n") {
			lines = append(lines, strings.Repeat(" ", hang)+line)
		}
	}
	return lines
}

// body is how many lines of the page there is room for.
func (a *app) body() int { return a.height - 4 - len(a.notices()) }

// frame puts title, page, notices and help together, to exactly the terminal's height, and
// cuts what is too wide for it.
func (a *app) frame() string {
	lines, tail := a.lines(), a.spell("…")
	for i, line := range lines {
		lines[i] = ansi.Truncate(line, a.width, tail)
	}
	text := strings.Join(lines, "\n")
	if a.look.ascii {
		text = toASCII(text)
	}
	return text
}

func (a *app) lines() []string {
	rule := strings.Repeat("─", a.width)
	body, page := a.body(), a.draw(a.width)
	a.top = max(0, min(a.top, len(page)-body))
	shown := page[a.top:min(len(page), a.top+body)]
	out := []string{a.head(), rule}
	for _, l := range shown {
		out = append(out, l.text)
	}
	for range body - len(shown) {
		out = append(out, "")
	}
	return append(append(out, a.notices()...), rule, a.help(a.top+body < len(page)))
}

// head has the title, and where the person is among the pages.
func (a *app) head() string {
	title, where := a.spell(a.st.t("title."+a.page().id)), ""
	if a.st.phase == asking {
		where = fmt.Sprintf("%d/%d", a.at+1, len(a.st.screens))
	}
	head := "stek  " + a.styles.title.Render(title)
	return head + strings.Repeat(" ", max(1, a.width-ansi.StringWidth(head)-len(where))) + where
}

// wrapped is a notice at a width, in the signs of a terminal.
type wrapped struct {
	text  string
	width int
	ascii bool
	lines []string
}

// notices are the lines of what the last action had to say. A long error leaves room for the
// page. They are asked for several times with each message, and wrapped once.
func (a *app) notices() []string {
	text := a.st.notice
	switch {
	case text != "":
	case a.st.looking:
		text = a.st.t("looking")
	case a.st.saving:
		text = a.st.t("report.saving")
	default:
		return nil
	}
	if n := a.notice; n.text != text || n.width != a.width || n.ascii != a.look.ascii {
		spelt := a.spell(strings.ReplaceAll(strings.TrimSpace(text), "\n", "; "))
		a.notice = wrapped{text, a.width, a.look.ascii, wrap(spelt, a.width, 0)}
	}
	lines := a.notice.lines
	if most := a.height / 4; len(lines) > most {
		lines = slices.Clone(lines[:most]) // of another height there may be room for all
		lines[most-1] = ansi.Truncate(lines[most-1], a.width-4, "") + a.spell(" …")
	}
	return lines
}

// help is the line that is always there; more says that the page goes on below.
func (a *app) help(more bool) string {
	line := a.st.t("help")
	if more {
		line = a.st.t("help.more") + "  " + line
	}
	return a.spell(line)
}
