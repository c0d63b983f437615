package onbox

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/hardware"
)

// finish ends an installation as the answers say.
func finish(ctx context.Context, how string, people installer.Person) error {
	switch how {
	case "stay":
		people.Say("\nInstalled. Take the stick out and switch the machine off and on when you like.")
		return nil
	case "poweroff":
		people.Say("\nInstalled. The machine switches off; take the stick out.")
		return leave(ctx, "poweroff")
	default:
		people.Say("\nInstalled. The machine starts from its disk now; the stick may stay in or come out.")
		return leave(ctx, "reboot")
	}
}

func restart(ctx context.Context, people installer.Person) error {
	people.Say("\nThe machine starts again from the stick now, and goes on.")
	return leave(ctx, "reboot")
}

// leave asks systemd to end; file systems are unmounted on the way.
func leave(ctx context.Context, how string) error {
	unix.Sync()
	_, err := installer.Tools{}.Run(ctx, nil, "systemctl", "--no-block", how)
	return err
}

// installedMark is where the stick remembers a machine that it has installed.
func (s *stick) installedMark(inv *hardware.Inventory) string {
	return filepath.Join(s.esp, filepath.FromSlash(installer.ReportsPath), installer.FileName(inv.Board.Serial), "installed")
}

func (s *stick) installedThis(inv *hardware.Inventory) bool {
	_, err := os.Stat(s.installedMark(inv))
	return err == nil
}

func (s *stick) noteInstalled(inv *hardware.Inventory) {
	_ = os.WriteFile(s.installedMark(inv), []byte(time.Now().UTC().Format(time.RFC3339)+"\n"), 0o644)
}

// startFromDisk tells the firmware to start our entry next time and restarts, once:
// a firmware that starts the stick again all the same needs a person.
func startFromDisk(ctx context.Context, s *stick, inv *hardware.Inventory, people installer.Person) error {
	tried := filepath.Join(filepath.Dir(s.installedMark(inv)), "start-from-disk-tried")
	if _, err := os.Stat(tried); err == nil {
		return &installer.Refusal{Status: installer.StatusRefused,
			Message: "this machine is installed, but its firmware starts the stick and not the disk",
			Remedy:  "take the stick out and restart, or put the disk first in the firmware's boot menu"}
	}
	if err := os.WriteFile(tried, nil, 0o644); err != nil {
		return fmt.Errorf("remembering the restart on the stick: %w", err)
	}
	if err := installer.StartDiskNext(ctx, installer.Tools{}, efivars); err != nil {
		people.Say("%v", err)
	}
	return leave(ctx, "reboot")
}
