package onbox

import (
	"context"
	"fmt"

	"github.com/vishvananda/netlink"

	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/network"
	"github.com/stek-edge/stek/installer/network/probe"
	"github.com/stek-edge/stek/installer/preseed"
)

// test puts a network in place, and tests it stage by stage. It stays until the next one.
func (l *lan) test(ctx context.Context, n preseed.Network, seen func(probe.Verdict)) error {
	inv, err := hardware.Look(ctx, hardware.Host())
	if err != nil {
		return err
	}
	want, err := network.Want(n, inv.NICs)
	if err != nil {
		return err
	}
	if err := l.join(ctx, n, inv.NICs); err != nil {
		return err
	}
	env := probe.Host()
	env.Seen = seen
	probe.Run(ctx, want, env)
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
