package onbox

import (
	"context"
	"fmt"
	"os"

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
	return leaveBy(ctx, installer.Tools{}, how)
}

// leaveBy asks with a runner. Once systemd has heard, it stops this service and with it
// the program that asks, which may end before it could say that all is well: that is the
// end that was asked for, and no failure.
func leaveBy(ctx context.Context, tools installer.Runner, how string) error {
	_, err := tools.Run(context.WithoutCancel(ctx), nil, "systemctl", "--no-block", how)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// startFromDisk tells the firmware to start our entry next time and restarts, once:
// a firmware that starts the stick again all the same needs a person.
func startFromDisk(ctx context.Context, s *stick, inv *hardware.Inventory, people installer.Person) error {
	people.Say("This machine is installed already, by this stick. Starting it from its disk.")
	tried := s.restarted(inv)
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
