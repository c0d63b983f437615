package k3s

import "net/netip"

// Interface is the dummy interface that carries the node's address.
const Interface = "stek0"

var (
	// Address is the node's address unless Facts name another. It must not be
	//   - loopback, link-local or multicast: the kubelet refuses these;
	//   - inside 10.42.0.0/16 or 10.43.0.0/16: pods and services live there;
	//   - anything of RFC 1918 or 100.64.0.0/10: a site's cable, a phone's uplink or
	//     a VPN may use it, and the box must not notice.
	// 192.0.2.0/24 (TEST-NET-1, RFC 5737) is assigned to nobody and routed nowhere.
	// As a /32 it shadows this one address only. Several nodes of one cluster need
	// addresses of their own, which Facts then carry.
	Address = netip.MustParseAddr("192.0.2.43")

	// NoResolver is the address of the name server that does not exist. The node
	// has an unreachable route to it, so a question is refused at once instead of
	// vanishing in the dummy interface, and nothing that a pod may open on port 53
	// of the node can answer it.
	NoResolver = netip.MustParseAddr("192.0.2.53")
)

// noResolver is a resolv.conf without a name server that works. It must name one:
// without any, k3s writes 8.8.8.8 into the pods, and coredns does not start.
var noResolver = "nameserver " + NoResolver.String() + "\noptions timeout:1 attempts:1\n"
