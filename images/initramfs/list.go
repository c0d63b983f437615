package initramfs

import (
	_ "embed"
	"fmt"
	"path"
	"strings"

	"github.com/stek-edge/stek/images/wordlist"
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
	err := wordlist.Each(name, data, func(words []string) error {
		if len(words) < 2 || len(words) > 3 || words[0] != "need" && words[0] != "want" {
			return fmt.Errorf("want \"need|want PATTERN [ARCH]\", found %q", strings.Join(words, " "))
		}
		if _, err := path.Match(words[1], ""); err != nil || strings.HasPrefix(words[1], "/") {
			return fmt.Errorf("pattern %q is malformed", words[1])
		}
		if len(words) == 2 || words[2] == arch {
			wishes = append(wishes, wish{pattern: words[1], must: words[0] == "need"})
		}
		return nil
	})
	return wishes, err
}
