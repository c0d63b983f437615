// Package network renders the network part of an answer file for the programs that
// carry it out: systemd-networkd, wpa_supplicant, systemd-resolved,
// systemd-timesyncd and WireGuard.
//
//	files, err := network.Render(answers.Network, network.Facts{Node: "kas-7", NICs: inventory.NICs, TunnelKey: key})
//
// Rendering is pure: answers and what is known of the machine in, files out. The
// installer and the node use the same files. What contradicts the machine is an
// error that says what to do; what contradicts itself package preseed has refused.
//
// Why these programs. All of them but one are in the root already, as parts of
// systemd, and read files that can be replaced as a whole. For radios it is
// wpa_supplicant and not iwd: its control socket tells a wrong key from a network
// that is not in reach, which iwd reports alike; it needs no D-Bus; it does every
// kind of enterprise login from one file; and the drivers of small boards, brcmfmac
// first, are tested with it. timesyncd and not chrony, because it keeps the clock's
// floor on the disk by itself and a node needs no time server of its own.
//
// What it promises:
//   - Without an answer every cable asks for addresses by DHCP. With offline: true
//     every card is switched off, and no packet leaves.
//   - Fixed addresses are never replaced: a link with addresses asks no DHCP server
//     unless the answers say so.
//   - No secret is in a file that others can read. Keys of WireGuard are credentials
//     in /etc/credstore, which systemd hands to networkd alone; everything of
//     wpa_supplicant and the proxy's login are in files of mode 0600.
//   - Nothing waits for a network: a server without one becomes Ready, and so does an agent
//     whose server has once given it credentials.
//   - Links stand in for each other by the metrics of their routes: one gives way when its
//     carrier goes, and keeps the traffic when only what lies behind its gateway does, until
//     somebody unplugs it or applies a network in which another link has the lower priority.
//   - The tunnel never takes all traffic (package preseed refuses that): a time server
//     must stay reachable outside it, since WireGuard refuses a clock that went backwards.
//
// Testing a configuration is package probe's, keeping it package keep's, and following which
// of its networks a radio has joined package joined's.
package network
