package onbox

import (
	"context"
	"fmt"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/network"
	"github.com/stek-edge/stek/installer/network/keep"
	"github.com/stek-edge/stek/installer/preseed"
)

// lan is the network of the running installer: to fetch answers, and to test a network
// before it is installed. The installer's /etc is in memory: nothing of it stays.
type lan struct{ now keep.Config }

// hostName is what the installer is called where an address is asked for by DHCP.
const hostName = "stek-installer"

// join puts a network in place of the one before.
func (l *lan) join(ctx context.Context, n preseed.Network, nics []hardware.NIC) error {
	next, err := keep.Make(n, network.Facts{Node: hostName, NICs: nics})
	if err != nil {
		return err
	}
	return l.put(ctx, next, nics)
}

// leave takes the network away.
func (l *lan) leave(ctx context.Context, nics []hardware.NIC) error {
	return l.put(ctx, keep.Config{}, nics)
}

func (l *lan) put(ctx context.Context, next keep.Config, nics []hardware.NIC) error {
	before := l.now
	l.now = next // also where only a part of it is written: the next one takes it away
	if err := (keep.Keeper{Root: "/"}).Write(before, next); err != nil {
		return fmt.Errorf("putting the network in place: %w", err)
	}
	if err := (keep.Systemd{Cards: nics, Run: installer.Tools{}.Do}).Reload(ctx, before, next); err != nil {
		return fmt.Errorf("putting the network in place: %w", err)
	}
	return nil
}
