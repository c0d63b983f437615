package tui

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/preseed"
	"github.com/stek-edge/stek/test/golden"
)

// TestLines: the line mode asks the same, and ends with nothing done when the input does.
func TestLines(t *testing.T) {
	for _, tt := range []struct {
		name, typed string
		want        error
	}{
		// language, keyboard, disk, what opens it, recovery shown, office, network, no tunnel, time servers, on and not to the test, name twice,
		// site, zone, key, role, finish, the end of the serial number, save, install
		{"to the end", "\n\n1\n\n\n\n\n\n\n2\nhall 7\nhall-7\n\n\n\n\n\nCONFIRM\n2\n1\n", nil},
		{"the input ends", "\n\n1\n", ErrLeft},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := session(t, "raid-server")
			installed := ""
			s.Install = func(_ context.Context, a *preseed.Answers, p *installer.Plan, _ installer.Person, _ installer.Emit) error {
				installed = p.NodeName
				return nil
			}
			serial := ""
			for _, v := range disk.Choices(s.Inventory) {
				if len(v.Reasons) == 0 {
					serial = v.Disk.Serial
				}
			}
			var out bytes.Buffer
			err := RunLines(t.Context(), s, Options{Input: strings.NewReader(strings.Replace(tt.typed, "CONFIRM", serial[len(serial)-4:], 1)), Output: &out})
			if !errors.Is(err, tt.want) || (err == nil) != (installed == "hall-7") {
				t.Errorf("%v, installed %q, want %v\n%s", err, installed, tt.want, out.String())
			}
			golden.Check(t, filepath.Join("lines", strings.ReplaceAll(tt.name, " ", "-")+".txt"), out.String())
		})
	}
}
