package node

import (
	"github.com/stek-edge/stek/installer/k3s"
	"github.com/stek-edge/stek/installer/network/probe"
)

// clusterServices is the server that this node joins, for the last stage of a test. It is
// behind the tunnel, where no proxy leads. A node that is a server itself has none: its own
// k3s is no far end, and may be on its way up again when a change of the network is tested.
func clusterServices(root string) []probe.Service {
	server, roots, ok := k3s.Joined(root)
	if !ok {
		return nil
	}
	return []probe.Service{{Name: "the cluster's server", URL: server, Roots: roots, Direct: true}}
}
