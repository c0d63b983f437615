// Package probe tests a connection stage by stage, so that a technician learns
// which stage fails and what to do about it before leaving the site.
//
//	carrier → association → address → duplicate-address → gateway    of each link
//	dns → portal → clock → proxy → path-mtu → vpn → service          of all of them together
//
// Each stage has one verdict: passed, failed or skipped, what it saw, how long it
// took, and what to do. A stage whose ground is missing is skipped, so that one
// broken cable is one failure and not ten. Of the networks that one radio may join the
// joined one is tested, and the others stand by. What a failure is called is a Fault, and
// Fault.Remote tells the failures of the far side from those of this one.
//
// State is read through netlink, tunnels through wgctrl, radios through nl80211 and
// wpa_supplicant's control socket. The output of no command is parsed. Everything
// else is asked of the network itself with real packets: DHCP DISCOVER without
// REQUEST, ARP probes (RFC 5227), echo requests, DNS, NTP, CONNECT and TLS.
//
// The package changes nothing: no address, no route, no lease, no clock. With
// Want.Offline it sends no packet at all. It never puts a password, a key or a
// proxy's login into a verdict.
//
// A further stage is a name in verdict.go and a function of its own, which run.go names in
// link (and verdict.go in linkStages) or in boxStages, and in fromAfar if it asks somebody
// behind the gateway. Its faults and what to do about each are in fault.go, and what it
// needs to be told is a field of Want, which package network fills from the answers. Its
// tests are cases of TestStages: a site in namespaces (package lan), with one thing broken.
//
//	report := probe.Run(ctx, want, probe.Host())
//	if v, failed := report.Failed(); failed {
//		fmt.Println(v.Stage, v.Saw, v.Do)
//	}
package probe
