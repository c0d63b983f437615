package tui

import (
	"embed"
	"fmt"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"
)

//go:embed messages/*.yaml
var messageFiles embed.FS

// language is one that the screens speak.
type language struct{ tag, name string }

// languages are in the order in which they are offered. The first has every text.
var languages = []language{{"en", "English"}, {"nl", "Nederlands"}, {"de", "Deutsch"}}

// catalogue has the texts of one language.
type catalogue struct {
	tag     string
	texts   map[string]string
	phrases *phrases // of the engine's words; nil: they are in the language
	mu      sync.Mutex
	known   map[string]string // what the phrases said of texts before
}

// messages gives the texts of a language by its BCP 47 tag, of which the first part
// counts; those of English where there are none.
func messages(tag string) *catalogue {
	first, _, _ := strings.Cut(strings.ToLower(tag), "-")
	for _, l := range languages {
		if l.tag == first {
			return load(l.tag)
		}
	}
	return load(languages[0].tag)
}

// load reads texts that are part of the program: a fault in them is one of the program,
// which the tests find.
func load(tag string) *catalogue {
	b, err := messageFiles.ReadFile("messages/" + tag + ".yaml")
	c := &catalogue{tag: tag}
	if book := books[tag]; book != nil {
		c.phrases = book()
	}
	if err == nil {
		err = yaml.Unmarshal(b, &c.texts)
	}
	if err != nil {
		panic(fmt.Sprintf("tui: the texts of %s: %v", tag, err))
	}
	return c
}

// mostKnown is how many texts are remembered as they were said. A page has some hundred.
const mostKnown = 4096

// say is phrases.say, and remembers: the texts of a page are said at each key. Those of several
// lines are said once.
func (c *catalogue) say(text string) string {
	if c.phrases == nil || strings.Contains(text, "\n") {
		return c.phrases.say(text)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	said, ok := c.known[text]
	if !ok {
		said = c.phrases.say(text)
		if c.known == nil || len(c.known) >= mostKnown {
			c.known = map[string]string{}
		}
		c.known[text] = said
	}
	return said
}

// text gives one text, with its arguments put in. One that is missing shows its name.
func (c *catalogue) text(id string, args ...any) string {
	format, ok := c.texts[id]
	switch {
	case !ok:
		return id
	case len(args) == 0:
		return format
	}
	return fmt.Sprintf(format, args...)
}
