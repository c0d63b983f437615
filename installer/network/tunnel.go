package network

import (
	"errors"
	"fmt"
	"net/netip"
	"path"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/stek-edge/stek/installer/preseed"
)

// The names of credentials that systemd-networkd.service imports by itself
// (systemd.netdev(5), PrivateKey=).
const (
	tunnelKey    = "network.wireguard.stek.key"
	presharedKey = "network.wireguard.stek.psk%d"
)

// NewKey makes a private key for a tunnel, on the box that will use it.
func NewKey() (preseed.Secret, error) {
	key, err := wgtypes.GeneratePrivateKey()
	if err != nil {
		return "", fmt.Errorf("making a key for WireGuard: %w", err)
	}
	return preseed.Secret(key.String()), nil
}

// KeyOf is the private key that the answers give to a tunnel, or a new one where the box
// makes its own.
func KeyOf(w preseed.WireGuard) (preseed.Secret, error) {
	if w.PrivateKey == "" || w.Generates() {
		return NewKey()
	}
	return w.PrivateKey, nil
}

// PublicKey is the half that the other end needs.
func PublicKey(private preseed.Secret) (string, error) {
	key, err := wgtypes.ParseKey(private.Reveal())
	if err != nil {
		return "", errors.New("the private key of WireGuard is not one") // never with the key
	}
	return key.PublicKey().String(), nil
}

// NodeAddress is the address that the cluster knows the node by, and the interface
// that has it: those of the tunnel. ok is false without a tunnel; then the node
// keeps the address of its dummy interface.
func NodeAddress(n preseed.Network) (address netip.Addr, device string, ok bool) {
	if n.Offline || n.VPN.WireGuard == nil {
		return netip.Addr{}, "", false
	}
	return n.VPN.WireGuard.Address.Addr(), Tunnel, true
}

func tunnelFiles(w *preseed.WireGuard, f Facts) ([]File, error) {
	if w == nil {
		return nil, nil
	}
	private := w.PrivateKey
	if private == "" || w.Generates() {
		if private = f.TunnelKey; private == "" {
			return nil, errors.New("the box makes the key of its tunnel itself, and none was made")
		}
	}
	public, err := PublicKey(private)
	if err != nil {
		return nil, err
	}
	files := []File{
		{Path: TunnelKeyPath, Mode: 0o600, Data: []byte(private.Reveal())},
		{Path: TunnelPublicPath, Mode: 0o644, Data: []byte(public + "\n")},
	}
	dev := &ini{}
	dev.section("NetDev")
	dev.set("Name", Tunnel)
	dev.set("Kind", "wireguard")
	if w.MTU != 0 {
		dev.set("MTUBytes", w.MTU)
	}
	dev.section("WireGuard")
	dev.set("PrivateKey", "@"+tunnelKey)
	if w.ListenPort != 0 {
		dev.set("ListenPort", w.ListenPort)
	}
	dev.set("RouteTable", "main") // a route for each of the allowed networks
	for i, p := range w.Peers {
		dev.section("WireGuardPeer")
		dev.set("PublicKey", p.PublicKey)
		if p.PresharedKey != "" {
			name := fmt.Sprintf(presharedKey, i)
			dev.set("PresharedKey", "@"+name)
			files = append(files, File{Path: path.Join(credstoreDir, name), Mode: 0o600, Data: []byte(p.PresharedKey.Reveal())})
		}
		if !p.Endpoint.IsZero() {
			dev.set("Endpoint", p.Endpoint)
		}
		for _, a := range p.AllowedIPs {
			dev.set("AllowedIPs", a)
		}
		if p.Keepalive != 0 {
			dev.set("PersistentKeepalive", p.Keepalive)
		}
	}
	b := &ini{}
	b.section("Match")
	b.set("Name", Tunnel)
	b.section("Link")
	b.set("RequiredForOnline", "no")
	b.section("Network")
	b.set("Address", w.Address)
	for _, a := range w.DNS {
		b.set("DNS", a)
	}
	b.set("LinkLocalAddressing", "no")
	b.set("IPv6AcceptRA", "no")
	wait := &ini{}
	wait.section("Service")
	// The cluster's traffic goes by the tunnel's address, which k3s looks for at once.
	wait.set("ExecStartPre", "-/usr/lib/systemd/systemd-networkd-wait-online --interface="+Tunnel+" --timeout=30")
	return append(files,
		dev.file(path.Join(networkdDir, "50-stek-vpn.netdev")),
		b.file(path.Join(networkdDir, "50-stek-vpn.network")),
		wait.file(path.Join(unitDir, "k3s.service.d/stek-vpn.conf")),
	), nil
}
