package endpoint

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"golang.zx2c4.com/wireguard/wgctrl"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/stek-edge/stek/installer/preseed"
)

// Of is the tunnel of a machine. Peers whose endpoint is an address or that have
// none are not looked after.
func Of(client *wgctrl.Client, name string, w preseed.WireGuard) Tunnel {
	named := map[string]preseed.Endpoint{}
	for _, p := range w.Peers {
		if _, err := netip.ParseAddr(p.Endpoint.Host); err != nil && !p.Endpoint.IsZero() {
			named[p.PublicKey] = p.Endpoint
		}
	}
	return Tunnel{
		Peers: func() ([]Peer, error) { return peers(client, name, named) },
		Lookup: func(ctx context.Context, host string) ([]netip.Addr, error) {
			found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
			for i, a := range found {
				found[i] = a.Unmap()
			}
			return found, err
		},
		Move: func(m Move) error { return move(client, name, m) },
	}
}

func peers(client *wgctrl.Client, name string, named map[string]preseed.Endpoint) ([]Peer, error) {
	device, err := client.Device(name)
	if err != nil {
		return nil, fmt.Errorf("asking for the tunnel %s: %w", name, err)
	}
	var all []Peer
	for _, p := range device.Peers {
		e, ok := named[p.PublicKey.String()]
		if !ok {
			continue
		}
		one := Peer{Key: p.PublicKey.String(), Host: e.Host, Port: e.Port, Handshake: p.LastHandshakeTime}
		if p.Endpoint != nil {
			at := p.Endpoint.AddrPort()
			one.Current = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
		}
		all = append(all, one)
	}
	return all, nil
}

func move(client *wgctrl.Client, name string, m Move) error {
	key, err := wgtypes.ParseKey(m.Key)
	if err != nil {
		return err
	}
	err = client.ConfigureDevice(name, wgtypes.Config{Peers: []wgtypes.PeerConfig{{
		PublicKey: key, UpdateOnly: true, Endpoint: net.UDPAddrFromAddrPort(m.To),
	}}})
	if err != nil {
		return fmt.Errorf("leading the tunnel to %s: %w", m.To, err)
	}
	return nil
}
