package tui

import (
	"strings"

	"github.com/stek-edge/stek/installer/preseed"
)

// tunnelPath is where the answers keep the tunnel to head office.
const tunnelPath = "network.vpn.wireguard"

// wgConf is where they keep it as the text of a wg0.conf, instead.
const wgConf = "network.vpn.config"

// tunnel asks for a WireGuard tunnel: by its fields, with one peer, by a wg0.conf on the
// stick, or by one that is pasted. By its fields the box makes its own key unless one is
// typed.
func tunnel(st *state) []row {
	key, known := preseed.Lookup(tunnelPath)
	conf := st.draft.one(wgConf)
	on := st.draft.any(tunnelPath) || conf != ""
	if !on && (!known || !key.Built) {
		return nil
	}
	rows := []row{{kind: check, id: "vpn", text: st.t("vpn"), on: on, do: func(st *state) action {
		st.draft.drop("network.vpn")
		if !on {
			st.typeTunnel()
		}
		return stay
	}}}
	if !on {
		return rows
	}
	if files := st.filesOf(".conf"); len(files) > 0 {
		rows = append(rows, row{kind: heading, text: st.t("vpn.from")}, choice(wgConf+"=", st.t("vpn.typed"), conf == "", (*state).typeTunnel))
		for _, f := range files {
			rows = append(rows, choice(wgConf+"="+f.Name, st.t("vpn.file", f.Name), f.Text == conf, func(st *state) { st.takeConf(f.Text) }))
		}
	}
	pasted := row{kind: input, id: wgConf, text: st.t("vpn.paste"), note: st.t("vpn.paste.note"), lines: true, set: (*state).takeConf}
	if conf != "" {
		pasted.value = st.t("vpn.lines", strings.Count(strings.TrimSpace(conf), "\n")+1)
	}
	rows = append(rows, pasted)
	if conf != "" {
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

// typeTunnel makes the tunnel one that is typed.
func (st *state) typeTunnel() {
	if st.draft.any(tunnelPath) {
		return
	}
	st.draft.drop(wgConf)
	st.draft.set(tunnelPath+".private-key", preseed.GenerateKey)
	st.draft.set(peer+".keepalive", "25") // a box is mostly behind a router that translates addresses
}

// takeConf makes the tunnel that of a wg0.conf. Without a text it is one that is typed.
func (st *state) takeConf(text string) {
	if text == "" {
		st.typeTunnel()
		return
	}
	st.draft.drop(tunnelPath)
	st.draft.set(wgConf, text)
}

// peer is the other end of the tunnel.
const peer = tunnelPath + ".peers[0]"
