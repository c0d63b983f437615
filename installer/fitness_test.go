package installer

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/preseed"
	"github.com/stek-edge/stek/test/golden"
	"github.com/stek-edge/stek/test/machines"
)

// TestFitness: what is told of each captured machine before anything is asked, and that a
// red light is one that no answer changes.
func TestFitness(t *testing.T) {
	for _, name := range machines.Names() {
		t.Run(name, func(t *testing.T) {
			inv := machines.Load(t, name)
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
			golden.Check(t, "fitness-"+name+".json", told.String())

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
