package onbox

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/preseed"
)

// TestMark: a stick that stays in a box never installs it twice, whatever the answers
// allow, until somebody gives it other answers or the box another disk.
func TestMark(t *testing.T) {
	parse := func(more string) *preseed.Answers {
		t.Helper()
		a, err := preseed.Parse("f", []byte("stek: 1\nnode: {name: kas-1}\ndisk: {erase: true, reinstall: true}\n"+
			"encryption: {recovery: {show: true}}\n"+more))
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	answers := parse("")
	plan := &installer.Plan{Disk: installer.DiskPlan{Layout: disk.Layout{GUID: "table-1"}}}
	s := &stick{esp: t.TempDir()}
	inv := &hardware.Inventory{Board: hardware.Board{Serial: "BOX 1"}}
	if _, known := s.remembers(inv); known {
		t.Fatal("a new stick knows the box")
	}
	if err := s.remember(inv, newMark(plan, answers, time.Unix(1700000000, 0))); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		table   string
		answers *preseed.Answers
		again   bool
	}{
		{"the same answers and disk", "table-1", answers, true},
		{"other answers", "table-1", parse("on-finish: stay\n"), false},
		{"another disk", "table-2", answers, false},
		{"a disk without a table", "", answers, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, known := s.remembers(inv)
			if got := m.again(hardware.Disk{TableGUID: tt.table}, tt.answers); !known || got != tt.again {
				t.Errorf("known %v, again %v", known, got)
			}
		})
	}
	t.Run("another box", func(t *testing.T) {
		if _, known := s.remembers(&hardware.Inventory{Board: hardware.Board{Serial: "BOX 2"}}); known {
			t.Error("the stick knows it")
		}
	})
	t.Run("a mark that cannot be read", func(t *testing.T) {
		if err := os.WriteFile(filepath.Join(s.esp, "stek/reports/BOX-1/installed"), []byte("2026-"), 0o600); err != nil {
			t.Fatal(err)
		}
		if m, known := s.remembers(inv); !known || m.again(hardware.Disk{}, answers) {
			t.Errorf("known %v, mark %+v", known, m)
		}
	})
}
