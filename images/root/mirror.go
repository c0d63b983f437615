package root

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Suite is the Debian release that a root is made of.
const Suite = "trixie"

// Mirror is where Debian's packages come from: base URLs without the suite.
type Mirror struct {
	Archive  string // the main archive, with trixie and trixie-updates
	Security string // the security archive, with trixie-security
}

// NoMirrorError says that the machine's apt sources name no Debian mirror.
type NoMirrorError struct {
	Missing string // "archive" or "security archive"
}

func (e *NoMirrorError) Error() string {
	return fmt.Sprintf("this machine's apt sources name no Debian %s; give its address with --mirror", e.Missing)
}

// HostMirror finds the mirrors in the apt sources of a machine, whose root file
// system is handed in. The suite there does not matter, only the addresses.
func HostMirror(root fs.FS) (Mirror, error) {
	names := []string{"etc/apt/sources.list"}
	for _, pattern := range []string{"etc/apt/sources.list.d/*.list", "etc/apt/sources.list.d/*.sources"} {
		more, err := fs.Glob(root, pattern)
		if err != nil {
			return Mirror{}, fmt.Errorf("looking for apt sources: %w", err)
		}
		names = append(names, more...)
	}
	var sources []AptSource
	for _, name := range names {
		data, err := fs.ReadFile(root, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return Mirror{}, fmt.Errorf("reading the apt sources: %w", err)
		}
		sources = append(sources, ParseAptSources(name, data)...)
	}
	return pickMirror(sources)
}

// pickMirror prefers addresses that end in Debian's customary folder: third parties
// reuse Debian's code names for their own repositories.
func pickMirror(sources []AptSource) (Mirror, error) {
	var m Mirror
	best := [2]int{}
	for _, s := range sources {
		if !slices.Contains(s.Components, "main") || !strings.HasPrefix(s.URL, "http") {
			continue
		}
		folder := path.Base(s.URL)
		score := 1
		if strings.Contains(s.SignedBy, "debian-archive") {
			score += 2
		}
		switch {
		case strings.HasSuffix(s.Suite, "-security") || strings.HasSuffix(s.Suite, "/updates"):
			if folder == "debian-security" {
				score += 4
			}
			if score > best[1] {
				best[1], m.Security = score, s.URL
			}
		case debianSuite(s.Suite):
			if folder == "debian" {
				score += 4
			}
			if score > best[0] {
				best[0], m.Archive = score, s.URL
			}
		}
	}
	// A bare code name is not enough: it must look like Debian in one more way.
	if best[0] < 3 {
		return Mirror{}, &NoMirrorError{"archive"}
	}
	if best[1] < 3 {
		return Mirror{}, &NoMirrorError{"security archive"}
	}
	return m, nil
}

var debianSuites = []string{"bullseye", "bookworm", "trixie", "forky", "duke", "sid", "oldoldstable", "oldstable", "stable", "testing", "unstable"}

func debianSuite(suite string) bool {
	for _, ending := range []string{"-updates", "-backports", "-proposed-updates"} {
		suite = strings.TrimSuffix(suite, ending)
	}
	return slices.Contains(debianSuites, suite)
}

// AptSource is one suite of one repository in apt's sources.
type AptSource struct {
	URL        string // without a slash at the end
	Suite      string
	Components []string
	SignedBy   string
}

// ParseAptSources reads both forms of sources.list(5): one line for each source, or
// deb822 stanzas when the name ends in ".sources". What it does not understand it
// leaves out, as the file may hold anything; source packages and disabled stanzas
// too.
func ParseAptSources(name string, data []byte) []AptSource {
	if strings.HasSuffix(name, ".sources") {
		return parseStanzas(data)
	}
	var sources []AptSource
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		text, _, _ := strings.Cut(lines.Text(), "#")
		options := ""
		if before, rest, ok := strings.Cut(text, "["); ok {
			inside, after, _ := strings.Cut(rest, "]")
			options, text = inside, before+" "+after
		}
		words := strings.Fields(text)
		if len(words) < 3 || words[0] != "deb" {
			continue
		}
		s := AptSource{URL: strings.TrimRight(words[1], "/"), Suite: words[2], Components: words[3:]}
		for _, option := range strings.Fields(options) {
			if value, ok := strings.CutPrefix(option, "signed-by="); ok {
				s.SignedBy = value
			}
		}
		sources = append(sources, s)
	}
	return sources
}

func parseStanzas(data []byte) []AptSource {
	var sources []AptSource
	for _, fields := range parseControl(data) {
		if !slices.Contains(strings.Fields(fields["types"]), "deb") || strings.EqualFold(fields["enabled"], "no") {
			continue
		}
		for _, url := range strings.Fields(fields["uris"]) {
			for _, suite := range strings.Fields(fields["suites"]) {
				sources = append(sources, AptSource{
					URL: strings.TrimRight(url, "/"), Suite: suite,
					Components: strings.Fields(fields["components"]), SignedBy: fields["signed-by"],
				})
			}
		}
	}
	return sources
}

// parseControl reads deb822 paragraphs (deb-control(5)): fields by lower-case name,
// continuation lines joined by a space, comment lines left out.
func parseControl(data []byte) []map[string]string {
	var paragraphs []map[string]string
	var fields map[string]string
	last := ""
	for line := range strings.Lines(string(data)) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case strings.TrimSpace(line) == "":
			fields, last = nil, ""
		case strings.HasPrefix(line, "#"):
		case line[0] == ' ' || line[0] == '\t':
			if last != "" {
				fields[last] = strings.TrimSpace(fields[last] + " " + strings.TrimSpace(line))
			}
		default:
			key, value, ok := strings.Cut(line, ":")
			if !ok {
				continue
			}
			if fields == nil {
				fields = map[string]string{}
				paragraphs = append(paragraphs, fields)
			}
			last = strings.ToLower(strings.TrimSpace(key))
			fields[last] = strings.TrimSpace(value)
		}
	}
	return paragraphs
}
