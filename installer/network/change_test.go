package network

import (
	"errors"
	"strings"
	"testing"
)

func TestCheckChange(t *testing.T) {
	tunnel := func(address string) string {
		return `network: {vpn: {wireguard: {address: ` + address + `, peers: [{public-key: "` + peerKey + `", endpoint: "vpn.example.org:51820", allowed-ips: [10.77.0.0/16]}]}}}`
	}
	cable := "network: {links: [{name: up, addresses: [10.0.0.2/24]}]}"
	for _, c := range []struct {
		name, before, after string
		refused             bool
	}{
		{"another cable's address", cable, strings.ReplaceAll(cable, "10.0.0.2", "10.0.0.3"), false},
		{"nothing at all", cable, "network: {offline: true}", false},
		{"the same tunnel", tunnel("10.77.0.7/32"), tunnel("10.77.0.7/24"), false},
		{"the tunnel's address", tunnel("10.77.0.7/32"), tunnel("10.77.0.8/32"), true},
		{"no tunnel any more", tunnel("10.77.0.7/32"), cable, true},
		{"a tunnel where none was", cable, tunnel("10.77.0.7/32"), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := CheckChange(answers(t, c.before), answers(t, c.after))
			var refused *ChangeError
			if errors.As(err, &refused) != c.refused || c.refused && refused.Remedy() == "" {
				t.Errorf("got %v", err)
			}
		})
	}
}
