package installer

import (
	"fmt"
	"strings"

	"github.com/stek-edge/stek/installer/network"
	"github.com/stek-edge/stek/installer/preseed"
)

// TunnelPlan is the tunnel that a box gets, without its keys.
type TunnelPlan struct {
	Words string   `json:"words"`
	Peers []string `json:"peers,omitempty"` // in words, with their public keys
}

// planTunnel tells of the tunnel, or returns nil where there is none. One that is still in
// the secrets file can only be named.
func planTunnel(v preseed.VPN) *TunnelPlan {
	switch {
	case v.Config != "":
		return &TunnelPlan{Words: network.Tunnel + ": as the wg0.conf in the secrets file says"}
	case v.WireGuard == nil:
		return nil
	}
	w := v.WireGuard
	key := "its private key is given"
	if w.PrivateKey == "" || w.Generates() {
		key = "the box makes its own key, and shows the public half"
	}
	plan := &TunnelPlan{Words: fmt.Sprintf("%s: %s, by which the cluster knows the node; %s", network.Tunnel, w.Address, key)}
	if w.ListenPort != 0 {
		plan.Words += fmt.Sprintf("; peers reach it at UDP port %d", w.ListenPort)
	}
	for _, p := range w.Peers {
		var behind []string
		for _, n := range p.AllowedIPs {
			behind = append(behind, n.String())
		}
		words := "peer " + p.PublicKey + " comes to the box"
		if !p.Endpoint.IsZero() {
			words = "peer " + p.PublicKey + " at " + p.Endpoint.String()
		}
		if p.PresharedKey != "" {
			words += ", with a preshared key"
		}
		plan.Peers = append(plan.Peers, words+", for "+strings.Join(behind, ", "))
	}
	return plan
}

// write gives each line of the plan to line, the first one with the name.
func (p *TunnelPlan) write(line func(name, format string, args ...any)) {
	if p == nil {
		return
	}
	line("Tunnel", "%s", p.Words)
	for _, peer := range p.Peers {
		line("", "%s", peer)
	}
}
