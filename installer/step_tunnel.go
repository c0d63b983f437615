package installer

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/stek-edge/stek/installer/console"
	"github.com/stek-edge/stek/installer/durable"
	"github.com/stek-edge/stek/installer/network"
)

// TunnelKeyFile is the public key of a box's tunnel, in the box's folder of reports.
const TunnelKeyFile = "wireguard.pub"

// makeTunnelKey takes the private key of the tunnel from the answers, or makes one. It
// leaves the machine in no way: on the disk it is inside the volume.
func (r *run) makeTunnelKey() (err error) {
	if w := r.site.Answers.Network.VPN.WireGuard; w != nil {
		r.keys.tunnel, err = network.KeyOf(*w)
	}
	return err
}

// leaveTunnelKey gives the public half of the tunnel's key to whoever looks after the
// other end: on the screen as text and as a code, and on the stick. Where nobody may be
// at the screen, nothing waits.
func leaveTunnelKey(ctx context.Context, r *run) error {
	if r.keys.tunnel == "" {
		return nil
	}
	public, err := network.PublicKey(r.keys.tunnel)
	if err != nil {
		return err
	}
	folder := filepath.Join(r.site.StickESP, filepath.FromSlash(ReportsPath), FileName(r.plan.Box.Serial))
	if err := durable.WriteFile(filepath.Join(folder, TunnelKeyFile), []byte(public+"\n"), 0o644); err != nil {
		return on(TheStick, fmt.Errorf("leaving the tunnel's public key on the stick: %w", err))
	}
	r.note("the tunnel's public key is %s; it is in %s/%s/%s on the stick, too", public, ReportsPath, FileName(r.plan.Box.Serial), TunnelKeyFile)
	screen, ok := r.site.Person.(console.Shower)
	if !ok {
		return nil
	}
	screen.Show("The public key of this box's tunnel, for its other end. It is no secret; stek network key shows it again.", public)
	if !r.site.Attended {
		return nil
	}
	if _, err := r.site.Person.Ask(ctx, "Press Enter when you have copied it:"); err != nil {
		return fmt.Errorf("waiting for the tunnel's public key to be copied: %w", err)
	}
	return nil
}
