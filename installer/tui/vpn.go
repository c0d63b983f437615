package tui

import "github.com/stek-edge/stek/installer/preseed"

// tunnelPath is where the answers keep the tunnel to head office.
const tunnelPath = "network.vpn.wireguard"

// tunnel asks for a WireGuard tunnel, by its fields, with one peer. The box makes its own key
// unless one is typed.
func tunnel(st *state) []row {
	key, known := preseed.Lookup(tunnelPath)
	on := st.draft.any(tunnelPath)
	if !on && (!known || !key.Built) {
		return nil
	}
	rows := []row{{kind: check, text: st.t("vpn"), on: on, do: func(st *state) action {
		if on {
			st.draft.drop(tunnelPath)
			return stay
		}
		st.draft.set(tunnelPath+".private-key", preseed.GenerateKey)
		st.draft.set(peer+".keepalive", "25") // a box is mostly behind a router that translates addresses
		return stay
	}}}
	if !on {
		return rows
	}
	return append(rows,
		keyed(st, tunnelPath+".address", st.t("vpn.address")),
		keyed(st, tunnelPath+".private-key", st.t("vpn.private-key")),
		keyed(st, peer+".public-key", st.t("vpn.public-key")),
		keyed(st, peer+".preshared-key", st.t("vpn.preshared-key")),
		keyed(st, peer+".endpoint", st.t("vpn.endpoint")),
		listed(st, peer+".allowed-ips", st.t("vpn.allowed-ips")),
		keyed(st, peer+".keepalive", st.t("vpn.keepalive")))
}

// peer is the other end of the tunnel.
const peer = tunnelPath + ".peers[0]"
