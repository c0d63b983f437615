package onbox

import (
	"context"
	"fmt"
	"os/exec"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/network"
	"github.com/stek-edge/stek/installer/network/keep"
	"github.com/stek-edge/stek/installer/network/probe"
	"github.com/stek-edge/stek/installer/preseed"
)

// trial puts networks in place on the running installer, one after another, to test each
// before it is installed. The installer's /etc is in memory: nothing of them stays.
type trial struct{ now keep.Config }

func (t *trial) test(ctx context.Context, n preseed.Network, seen func(probe.Verdict)) error {
	inv, err := hardware.Look(ctx, hardware.Host())
	if err != nil {
		return err
	}
	next, err := keep.Make(n, network.Facts{Node: "stek-installer", NICs: inv.NICs})
	if err != nil {
		return err
	}
	want, err := network.Want(n, inv.NICs)
	if err != nil {
		return err
	}
	var cards []string
	for _, c := range inv.NICs {
		cards = append(cards, c.Name)
	}
	if err := (keep.Keeper{Root: "/"}).Write(t.now, next); err != nil {
		return fmt.Errorf("putting the network in place for the test: %w", err)
	}
	before := t.now
	t.now = next
	if err := (keep.Systemd{Cards: cards, Run: quietly}).Reload(ctx, before, next); err != nil {
		return fmt.Errorf("putting the network in place for the test: %w", err)
	}
	env := probe.Host()
	env.Seen = seen
	probe.Run(ctx, want, env)
	return nil
}

// quietly runs a program for what it does; what it prints is told only when it fails.
func quietly(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// scan looks for wireless networks. A radio that nothing has used yet is switched on first.
func scan(ctx context.Context) ([]probe.Network, error) {
	inv, err := hardware.Look(ctx, hardware.Host())
	if err != nil {
		return nil, err
	}
	for _, n := range inv.NICs {
		if n.Type != string(preseed.Wireless) {
			continue
		}
		card, err := netlink.LinkByName(n.Name)
		if err == nil {
			err = netlink.LinkSetUp(card)
		}
		if err != nil {
			return nil, fmt.Errorf("switching %s on: %w", n.Name, err)
		}
	}
	return probe.Networks(ctx)
}
