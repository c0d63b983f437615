// Package golden compares what code says with a file that a reviewer can read. It is
// for tests only, and it must never be lenient: a file that is not there is a fault,
// and nothing is written unless the tests run with -update.
//
//	golden.Check(t, "plan-mini-pc.txt", text) // testdata/plan-mini-pc.txt
package golden

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const flagName = "update"

// Other packages for tests, such as charmbracelet's, have this flag, too, and a program has
// each flag once. They come first: packages without need of each other are initialised in
// the order of their import paths (The Go Programming Language Specification, "Program
// initialization").
func init() {
	if flag.Lookup(flagName) == nil {
		flag.Bool(flagName, false, "write the golden files anew")
	}
}

// Updating says that golden files are to be written. It is for tests that keep many
// of them in one archive; the others use Check.
func Updating() bool { return flag.Lookup(flagName).Value.String() == "true" }

// Check compares with the file of that name in testdata.
func Check[Text ~string | ~[]byte](t testing.TB, name string, got Text) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if Updating() {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs; look, then run with -update (-want +got):\n%s", path, diff)
	}
}
