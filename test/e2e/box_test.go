//go:build e2e

package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stek-edge/stek/test/site"
	"github.com/stek-edge/stek/test/vm"
)

// testBox is a box of a test: what goes wrong with it ends the test.
type testBox struct {
	*site.Box
	site *site.Site
}

// powerOn switches on a variant of the site's machine for the rest of the test, and
// keeps its logs if the test fails.
func powerOn(t *testing.T, s *site.Site, m vm.Machine) *testBox {
	t.Helper()
	b, err := s.PowerOnAs(context.WithoutCancel(t.Context()), m)
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			dir := os.Getenv(vm.ArtifactsEnv)
			if dir == "" {
				dir = filepath.Join(os.TempDir(), "stek-artifacts")
			}
			dir = filepath.Join(dir, strings.ReplaceAll(t.Name(), "/", "_"))
			t.Logf("logs of the box: %s, %v", dir, b.Keep(dir))
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return &testBox{b, s}
}

// run runs a command in the logged-in shell.
func (b *testBox) run(t *testing.T, command string) string {
	t.Helper()
	out, err := b.Run(t.Context(), command)
	must(t, err)
	return out
}

// readLong reads a file of many kilobytes to the byte.
func (b *testBox) readLong(t *testing.T, file string) []byte {
	t.Helper()
	text := b.run(t, "base64 -w 400 "+file)
	content, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(text, "\n", ""))
	must(t, err)
	return content
}

// apply gives a manifest to the cluster. It goes over the console as one line.
func (b *testBox) apply(t *testing.T, manifest string) {
	t.Helper()
	quoted := strings.ReplaceAll(strings.ReplaceAll(manifest, `\`, `\\`), "\n", `\n`)
	b.run(t, `printf '`+strings.ReplaceAll(quoted, "'", `'\''`)+`' | kubectl apply -f -`)
}

// nodeStatus is the part of `stek node status --output json` that tests look at.
type nodeStatus struct {
	OpenedBy   string       `json:"opened-by"`
	Binding    string       `json:"binding"`
	SecureBoot bool         `json:"secure-boot"`
	SetupMode  bool         `json:"setup-mode"`
	Slots      []slotStatus `json:"slots"`
}

type slotStatus struct {
	ID    int    `json:"id"`
	Kind  string `json:"kind"`
	Token int    `json:"token"`
	PIN   bool   `json:"pin"`
}

func (s nodeStatus) kinds() []string {
	var kinds []string
	for _, slot := range s.Slots {
		kinds = append(kinds, slot.Kind)
	}
	slices.Sort(kinds)
	return kinds
}

func (b *testBox) status(t *testing.T) nodeStatus {
	t.Helper()
	var s nodeStatus
	text := b.run(t, "stek node status --output json | tr -d '\\n'")
	// What the box tells all its consoles may stand before and behind.
	text = text[max(strings.IndexByte(text, '{'), 0):]
	must(t, json.NewDecoder(strings.NewReader(text)).Decode(&s))
	return s
}

// openWithRecoveryKey types the recovery key that the office has.
func (b *testBox) openWithRecoveryKey(t *testing.T) {
	t.Helper()
	key, err := b.site.RecoveryKey(t.Context())
	must(t, err)
	must(t, b.Console.Send(key))
}

// prompt waits for a question that ends without a line end.
func (b *testBox) prompt(t *testing.T, pattern string) (vm.Match, error) {
	ctx, cancel := context.WithTimeout(t.Context(), promptWithin)
	defer cancel()
	return b.Console.ExpectPrompt(ctx, pattern)
}

// promptWithin ends a test that hangs; an emulated box on a busy machine is slow.
const promptWithin = 25 * time.Minute
