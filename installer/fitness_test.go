package installer

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/hardware"
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

// Cards for a cable and radios have a light each: what the one kind can do says nothing of the
// other.
func TestFitnessOfCards(t *testing.T) {
	cable, radio := hardware.NIC{Name: "eth0", Type: "ethernet"}, hardware.NIC{Name: "wlan0", Type: "wifi"}
	blocked := func(how string) hardware.NIC {
		return hardware.NIC{Name: "wlan1", Type: "wifi", Blocked: how}
	}
	for _, tt := range []struct {
		name        string
		cards       []hardware.NIC
		cables      Light
		radios      Light
		words, does string // about the radios
	}{
		{"none", nil, Yellow, Green, "none", ""},
		{"a cable", []hardware.NIC{cable}, Green, Green, "none", ""},
		{"a radio", []hardware.NIC{radio}, Yellow, Green, "wlan0", ""},
		{"both", []hardware.NIC{cable, radio}, Green, Green, "wlan0", ""},
		{"a switch is off", []hardware.NIC{cable, blocked(hardware.BlockedHard)}, Green, Yellow, "wlan1, switched off by its switch", "switch it on"},
		{"one of two is off", []hardware.NIC{blocked(hardware.BlockedSoft), radio}, Yellow, Yellow, "(rfkill); wlan0", "switch it on"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, f := range Fitness(&hardware.Inventory{NICs: tt.cards}) {
				switch f.Part {
				case PartNetwork:
					if f.State != tt.cables || strings.Contains(f.Words, "wlan") {
						t.Errorf("cables: %+v", f)
					}
				case PartRadio:
					if f.State != tt.radios || !strings.Contains(f.Words, tt.words) || !strings.Contains(f.Remedy, tt.does) || (f.Remedy == "") != (f.State == Green) {
						t.Errorf("radios: %+v", f)
					}
				}
			}
		})
	}
}
