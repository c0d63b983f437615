package onbox

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/durable"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/preseed"
)

// mark is what a stick remembers of a machine that it has installed. A firmware that
// starts the stick again must not have the machine installed again, also where the
// answers allow to replace an installation.
type mark struct {
	At      time.Time `json:"at"`
	Disk    string    `json:"disk"`    // GUID of the partition table that was written
	Answers string    `json:"answers"` // SHA-256 of the answers without their secrets, hex
}

func newMark(plan *installer.Plan, answers *preseed.Answers, at time.Time) mark {
	sum := sha256.Sum256(preseed.Redacted(answers))
	return mark{At: at.UTC(), Disk: plan.Disk.Layout.GUID, Answers: hex.EncodeToString(sum[:])}
}

// again tells whether an installation by these answers would replace the one that they
// made themselves. Other answers are somebody's new wish, and a disk with another table
// is another disk, or one that was cleared.
func (m mark) again(chosen hardware.Disk, answers *preseed.Answers) bool {
	sum := sha256.Sum256(preseed.Redacted(answers))
	return m.Disk != "" && m.Disk == chosen.TableGUID && m.Answers == hex.EncodeToString(sum[:])
}

// marked is where the stick keeps what it remembers of a machine.
func (s *stick) marked(inv *hardware.Inventory) string {
	return filepath.Join(s.reports(inv), "installed")
}

// reports is the folder of a machine on the stick.
func (s *stick) reports(inv *hardware.Inventory) string {
	return filepath.Join(s.esp, filepath.FromSlash(installer.ReportsPath), installer.FileName(inv.Board.Serial))
}

// remembers reads the mark of a machine; the zero mark where there is none.
func (s *stick) remembers(inv *hardware.Inventory) (mark, bool) {
	b, err := os.ReadFile(s.marked(inv))
	if errors.Is(err, fs.ErrNotExist) {
		return mark{}, false
	}
	var m mark
	if err != nil || json.Unmarshal(b, &m) != nil {
		return mark{}, true // installed, and that is all that can be read
	}
	return m, true
}

func (s *stick) remember(inv *hardware.Inventory, m mark) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if err := durable.WriteFile(s.marked(inv), append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("noting on the stick that this machine is installed: %w", err)
	}
	// The new installation has its own try at starting from the disk.
	if err := os.Remove(s.restarted(inv)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// restarted is where the stick remembers that it has sent a machine to its disk.
func (s *stick) restarted(inv *hardware.Inventory) string {
	return filepath.Join(filepath.Dir(s.marked(inv)), "start-from-disk-tried")
}
