package installer

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/preseed"
	"github.com/stek-edge/stek/test/golden"
)

// TestFitness: what is told of each captured machine before anything is asked, and that a
// red light is one that no answer changes.
func TestFitness(t *testing.T) {
	files, err := filepath.Glob("../test/machines/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(err, files)
	}
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(name, func(t *testing.T) {
			f, err := os.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			inv, err := hardware.Load(f)
			if err != nil {
				t.Fatal(err)
			}
			red := false
			var told bytes.Buffer
			enc := json.NewEncoder(&told)
			enc.SetIndent("", " ")
			enc.SetEscapeHTML(false)
			for _, finding := range Fitness(inv) {
				red = red || finding.State == Red
				if err := enc.Encode(finding); err != nil {
					t.Fatal(err)
				}
			}
			golden.Check(t, "fitness-"+name, told.String())

			text, err := preseed.Template(Suggest(inv))
			if err != nil {
				t.Fatalf("what is suggested is no answer file: %v", err)
			}
			a, err := preseed.Parse("suggested", text)
			if err != nil {
				t.Fatal(err)
			}
			a = preseed.Defaults(a)
			a.Disk.Erase, a.Disk.Reinstall = true, true
			_, err = Make(a, inv, Image{RootBytes: 1 << 20}, disk.IDs{})
			var refused *Refusal
			var several *disk.Refusal
			switch {
			case errors.As(err, &several) && several.Kind == disk.RefusedSeveral:
			case red && !errors.As(err, &refused):
				t.Errorf("there is a red light, and a plan: %v", err)
			case !red && errors.As(err, &refused) && refused.Status == StatusMissing:
				t.Errorf("there is no red light, and the machine is refused: %v", err)
			}
		})
	}
}
