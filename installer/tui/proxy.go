package tui

// proxyPath is where the answers keep the proxy.
const proxyPath = "network.proxy"

// proxy asks for the HTTP proxy through which the site reaches the internet.
func proxy(st *state) []row {
	on := st.draft.any(proxyPath) || st.proxied
	rows := []row{{kind: check, id: "proxy", text: st.t("proxy"), on: on, do: func(st *state) action {
		st.proxied = !on
		if on {
			st.draft.drop(proxyPath)
		}
		return stay
	}}}
	if !on {
		return rows
	}
	rows = append(rows,
		keyed(st, proxyPath+".url", st.t("proxy.url")),
		keyed(st, proxyPath+".username", st.t("proxy.username")),
		keyed(st, proxyPath+".password", st.t("proxy.password")),
		listed(st, proxyPath+".no-proxy", st.t("proxy.no-proxy")))
	return append(rows, fromFile(st, proxyPath+".ca", st.t("proxy.ca"), true, ".pem", ".crt")...)
}
