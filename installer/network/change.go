package network

import (
	"fmt"

	"github.com/stek-edge/stek/installer/preseed"
)

// ChangeError refuses a network that a running node cannot change to.
type ChangeError struct {
	Problem string
	remedy  string
}

func (e *ChangeError) Error() string { return fmt.Sprintf("%s; %s", e.Problem, e.remedy) }

// Remedy says what to do instead.
func (e *ChangeError) Remedy() string { return e.remedy }

// CheckChange refuses what would part a node from its cluster: the address of its
// tunnel is the node's own (see NodeAddress), and is in the cluster's certificates and
// database for good. The error is a *ChangeError.
func CheckChange(before, after preseed.Network) error {
	was, _, had := NodeAddress(before)
	will, _, has := NodeAddress(after)
	if had == has && was == will {
		return nil
	}
	return &ChangeError{"the cluster knows this node by the address of its tunnel, which would change",
		"keep network.vpn.wireguard.address as it is, or install the box anew"}
}
