package initramfs

import (
	"bufio"
	"bytes"
	_ "embed"
	"fmt"
	"path"
	"strings"
)

//go:embed modules.list
var modulesList []byte

// wish is one line of modules.list.
type wish struct {
	pattern string
	must    bool
}

// parseList reads modules.list for one architecture. The name is only used in
// errors.
func parseList(name string, data []byte, arch string) ([]wish, error) {
	var wishes []wish
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(text)
		if len(words) == 0 {
			continue
		}
		if len(words) < 2 || len(words) > 3 || words[0] != "need" && words[0] != "want" {
			return nil, fmt.Errorf("%s:%d: want \"need|want PATTERN [ARCH]\", found %q", name, n, strings.TrimSpace(text))
		}
		if _, err := path.Match(words[1], ""); err != nil || strings.HasPrefix(words[1], "/") {
			return nil, fmt.Errorf("%s:%d: pattern %q is malformed", name, n, words[1])
		}
		if len(words) == 3 && words[2] != arch {
			continue
		}
		wishes = append(wishes, wish{pattern: words[1], must: words[0] == "need"})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return wishes, nil
}
