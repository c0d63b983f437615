package tui

import (
	"io"
	"strings"
)

// Options are where the screens are drawn.
type Options struct {
	Input  io.Reader
	Output io.Writer
	Env    []string // "NAME=value": TERM, the locale, NO_COLOR
}

// The room that every page fits into. A terminal that tells no size gets it: serial lines
// say 0 by 0.
const (
	leastWidth  = 80
	leastHeight = 24
)

// look is how a terminal is drawn on.
type look struct {
	ascii bool // no sign beyond ASCII
	mono  bool // no colours
}

// lookOf judges a terminal by its environment: TERM (term(7)), the locale (locale(7)), and
// NO_COLOR. The Linux console has colours, and a font of 256 or 512 signs (console_codes(4)).
func lookOf(env []string) look {
	value := map[string]string{}
	for _, e := range env {
		name, v, _ := strings.Cut(e, "=")
		value[name] = v
	}
	var l look
	switch term := value["TERM"]; {
	case term == "", term == "dumb", strings.HasPrefix(term, "vt"), strings.HasPrefix(term, "ansi"):
		l.ascii, l.mono = true, true
	}
	locale := value["LANG"]
	for _, name := range []string{"LC_CTYPE", "LC_ALL"} {
		if value[name] != "" {
			locale = value[name]
		}
	}
	if utf8 := strings.ToLower(strings.ReplaceAll(locale, "-", "")); !strings.HasSuffix(utf8, "utf8") {
		l.ascii = true
	}
	if value["NO_COLOR"] != "" {
		l.mono = true
	}
	return l
}

// spelled are the letters beyond ASCII that the languages have.
var spelled = strings.NewReplacer("ä", "ae", "ö", "oe", "ü", "ue", "Ä", "Ae", "Ö", "Oe", "Ü", "Ue", "ß", "ss",
	"é", "e", "ë", "e", "è", "e", "ï", "i", "ó", "o", "─", "-", "…", "...")

// toASCII spells a text with the signs that every terminal has.
func toASCII(text string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x80 {
			return r
		}
		return '?'
	}, spelled.Replace(text))
}
