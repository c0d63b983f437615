package tui

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

var verbs = regexp.MustCompile(`%[a-z0-9.]+`)

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
