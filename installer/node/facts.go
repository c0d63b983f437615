package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/stage1"
	"github.com/stek-edge/stek/installer/vault"
)

// stateDir is where the state volume is mounted on a node.
const stateDir = "/state"

// MaintenanceKey is where a node keeps the key with which it changes its key slots.
const MaintenanceKey = stateDir + "/" + installer.Maintenance

// Facts is what a node knows of itself, read once.
type Facts struct {
	Record   installer.Record
	Unlocked stage1.Unlocked
	Timeline []stage1.Mark
	Header   *vault.Header
	Disk     string // device that was booted
}

// ErrNotANode says that this machine is not an installed stek node.
var ErrNotANode = errors.New("this machine is not an installed stek node")

// Look reads what stage1 and the installer left, and the header of the volume.
func Look() (*Facts, error) {
	disk, err := os.ReadFile(stage1.NodeFile)
	if err != nil {
		return nil, fmt.Errorf("%w (%s is not there)", ErrNotANode, stage1.NodeFile)
	}
	f := &Facts{Disk: strings.TrimSpace(string(disk))}
	if err := readJSON(stage1.UnlockFile, &f.Unlocked); err != nil {
		return nil, err
	}
	if err := readJSON(filepath.Join(stateDir, installer.NodeRecord), &f.Record); err != nil {
		return nil, err
	}
	if f.Timeline, err = stage1.ReadTimeline(stage1.TimelineFile); err != nil {
		return nil, err
	}
	if f.Header, err = vault.Inspect(f.Unlocked.Device); err != nil {
		return nil, err
	}
	return f, nil
}

func readJSON(path string, into any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	return nil
}
