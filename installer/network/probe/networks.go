//go:build linux

package probe

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/mdlayher/wifi"

	"github.com/stek-edge/stek/installer/preseed"
)

// Networks has every radio that is switched on look around, and returns the wireless networks
// in reach, the strongest first and each name once. It takes seconds. Hidden networks are not
// among them. A machine without a radio has none.
func Networks(ctx context.Context) ([]Network, error) {
	client, err := wifi.New()
	if err != nil {
		return nil, fmt.Errorf("asking the kernel for radios: %w", err)
	}
	defer client.Close()
	radios, err := client.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("asking the kernel for radios: %w", err)
	}
	var points []*wifi.BSS
	for _, radio := range radios {
		if radio.Name == "" {
			continue // a radio's other half, such as for direct connections
		}
		if err := client.Scan(ctx, radio); err != nil {
			return nil, fmt.Errorf("having %s look for networks: %w", radio.Name, err)
		}
		seen, err := client.AccessPoints(radio)
		if err != nil {
			return nil, fmt.Errorf("asking %s for networks: %w", radio.Name, err)
		}
		points = append(points, seen...)
	}
	return networksOf(points), nil
}

// networksOf sorts out what radios have seen.
func networksOf(points []*wifi.BSS) []Network {
	points = slices.Clone(points)
	slices.SortStableFunc(points, func(a, b *wifi.BSS) int { return cmp.Compare(b.Signal, a.Signal) })
	var all []Network
	for _, p := range points {
		if p.SSID == "" || slices.ContainsFunc(all, func(n Network) bool { return n.SSID == p.SSID }) {
			continue
		}
		all = append(all, Network{SSID: p.SSID, Signal: int(p.Signal) / 100, Security: protection(p.RSN)})
	}
	return all
}

// protection names what a network asks for, by the suites that it offers (IEEE 802.11-2020,
// 9.4.2.24.3). One that offers both kinds of passwords is joined with the newer one by wpa2
// as well. Without suites it is open, or so old that this box does not join it.
func protection(rsn wifi.RSNInfo) preseed.WiFiSecurity {
	offers := func(suites ...wifi.RSNAKM) bool {
		return slices.ContainsFunc(rsn.AKMs, func(a wifi.RSNAKM) bool { return slices.Contains(suites, a) })
	}
	switch {
	case offers(wifi.RSNAkmPSK, wifi.RSNAkmFTPSK, wifi.RSNAkmPSKSHA256):
		return preseed.WiFiWPA2
	case offers(wifi.RSNAkmSAE, wifi.RSNAkmFTSAE):
		return preseed.WiFiWPA3
	case len(rsn.AKMs) > 0:
		return preseed.WiFiEnterprise
	}
	return preseed.WiFiOpen
}
