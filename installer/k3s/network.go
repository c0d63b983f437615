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

	// Resolver is where the node's systemd-resolved answers the cluster, also on the
	// dummy interface. A pod gets its resolv.conf when it is made and keeps it, so a
	// file with the name servers of the moment would leave a box that started without
	// its uplink without names for ever. This address stays; resolved knows what is
	// behind it, and without any name server says so at once.
	Resolver = netip.MustParseAddr("192.0.2.53")
)

// resolver is the resolv.conf of the cluster. Without a file that names a server,
// k3s writes 8.8.8.8 into the pods, and coredns does not start.
var resolver = "nameserver " + Resolver.String() + "\noptions timeout:2 attempts:2\n"
