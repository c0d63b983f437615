package preseed

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/stek-edge/stek/test/golden"
)

const brokenFile = "testdata/broken.txtar"

// TestBroken checks position and text of every fault of many broken files.
func TestBroken(t *testing.T) {
	archive, err := txtar.ParseFile(brokenFile)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(archive.Files); i += 2 {
		file, want := archive.Files[i], &archive.Files[i+1]
		t.Run(file.Name, func(t *testing.T) {
			answers, err := Parse("f", file.Data)
			if err == nil || answers != nil {
				t.Fatalf("Parse returned %v, %v for a broken file", answers, err)
			}
			if !errors.As(err, new(Faults)) {
				t.Fatalf("Parse returned a %T", err)
			}
			got := strings.ReplaceAll("\n"+err.Error(), "\nf:", "\n")[1:] + "\n"
			if golden.Updating() {
				want.Data = []byte(got)
				return
			}
			if got != string(want.Data) {
				t.Errorf("got\n%swant\n%s", got, want.Data)
			}
		})
	}
	if n := len(archive.Files) / 2; n < 100 {
		t.Errorf("only %d cases", n)
	}
	if golden.Updating() {
		if err := os.WriteFile(brokenFile, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
