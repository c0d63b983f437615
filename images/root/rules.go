package root

import (
	_ "embed"
	"fmt"
	"regexp"
	"strings"

	"github.com/stek-edge/stek/images/wordlist"
)

//go:embed root.rules
var rootRules []byte

//go:embed modules.rules
var modulesRules []byte

//go:embed firmware.rules
var firmwareRules []byte

// Rules decide by path what stays. The last rule that matches a path wins.
type Rules struct {
	rules []rule
}

type rule struct {
	keep    bool
	pattern string
	prefix  string // what a path must begin with: cheaper than the expression
	match   *regexp.Regexp
	used    bool
}

// ParseRules reads a rules file: "keep PATTERN" or "drop PATTERN" on each line, "#"
// begins a comment. A pattern matches a path and everything below it; "*" and "?"
// stand for characters within one name, "**" for anything. The name is only used in
// errors.
func ParseRules(name string, data []byte) (*Rules, error) {
	r := &Rules{}
	err := wordlist.Each(name, data, func(words []string) error {
		if len(words) != 2 || words[0] != "keep" && words[0] != "drop" {
			return fmt.Errorf("want \"keep PATTERN\" or \"drop PATTERN\", found %q", strings.Join(words, " "))
		}
		return r.add(words[0] == "keep", words[1])
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// CheckPattern says what is wrong with one pattern of a rule.
func CheckPattern(pattern string) error { return (&Rules{}).add(true, pattern) }

func (r *Rules) add(keep bool, pattern string) error {
	if pattern == "" || strings.HasPrefix(pattern, "/") || strings.HasSuffix(pattern, "/") || strings.Contains(pattern, "//") {
		return fmt.Errorf("pattern %q must be relative and without empty names", pattern)
	}
	prefix := pattern
	if i := strings.IndexAny(pattern, "*?"); i >= 0 {
		prefix = pattern[:i]
	}
	r.rules = append(r.rules, rule{keep: keep, pattern: pattern, prefix: prefix, match: globExpression(pattern)})
	return nil
}

func globExpression(pattern string) *regexp.Regexp {
	var out strings.Builder
	out.WriteString("^")
	for i := 0; i < len(pattern); i++ {
		switch {
		case strings.HasPrefix(pattern[i:], "**"):
			out.WriteString(".*")
			i++
		case pattern[i] == '*':
			out.WriteString("[^/]*")
		case pattern[i] == '?':
			out.WriteString("[^/]")
		default:
			out.WriteString(regexp.QuoteMeta(pattern[i : i+1]))
		}
	}
	out.WriteString("(?:/.*)?$")
	return regexp.MustCompile(out.String())
}

// Keep tells whether a path stays; otherwise is the answer when no rule matches.
func (r *Rules) Keep(name string, otherwise bool) bool {
	keep := otherwise
	for i := range r.rules {
		rule := &r.rules[i]
		if strings.HasPrefix(name, rule.prefix) && rule.match.MatchString(name) {
			rule.used = true
			keep = rule.keep
		}
	}
	return keep
}

// Unused lists the rules that matched nothing since the rules were parsed: most
// likely something was renamed, and the list needs a look.
func (r *Rules) Unused() []string {
	var unused []string
	for _, rule := range r.rules {
		if !rule.used {
			verb := "drop "
			if rule.keep {
				verb = "keep "
			}
			unused = append(unused, verb+rule.pattern)
		}
	}
	return unused
}
