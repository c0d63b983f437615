package disk

import (
	"testing"

	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/preseed"
)

// What a person is offered names that disk and no other, by the rules of Select.
func TestChoices(t *testing.T) {
	usable := func(path, serial, model string) hardware.Disk {
		return hardware.Disk{Path: path, Serial: serial, Model: model, Bus: "sata", Size: 500 << 30, SectorSize: 512}
	}
	stick := usable("/dev/sdz", "STICK", "Stick")
	stick.Boot = true
	for _, tt := range []struct {
		name  string
		disks []hardware.Disk
		twins bool
	}{
		{"two serial numbers", []hardware.Disk{usable("/dev/sda", "A1", "M"), usable("/dev/sdb", "A2", "M"), stick}, false},
		{"a serial number with a star", []hardware.Disk{usable("/dev/sda", "A*", "M"), usable("/dev/sdb", "AB2", "M"), stick}, false},
		{"one without a number", []hardware.Disk{usable("/dev/sda", "", "M"), stick}, false},
		{"two that look the same", []hardware.Disk{usable("/dev/sda", "", "M"), usable("/dev/sdb", "", "M"), stick}, true},
		{"two without a number, of two models", []hardware.Disk{usable("/dev/sda", "", "M"), usable("/dev/sdb", "", "N"), stick}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inv := &hardware.Inventory{Disks: tt.disks}
			for _, c := range Choices(inv) {
				if c.Disk.Boot {
					if len(c.Reasons) == 0 {
						t.Error("the stick is offered")
					}
					continue
				}
				if c.Twin != tt.twins {
					t.Errorf("%s has a twin: %v", c.Disk.Path, c.Twin)
				}
				got, refused := Select(inv, preseed.Disk{Match: c.Match, Erase: true, Reinstall: true})
				if !tt.twins && (refused != nil || got.Path != c.Disk.Path) {
					t.Errorf("%+v chooses %s, %v, not %s", c.Match, got.Path, refused, c.Disk.Path)
				}
			}
		})
	}
}
