package tui

// network asks whether there is one.
func network(st *state) []row {
	return []row{
		{kind: paragraph, text: st.t("network.text")},
		word(st, "network.offline", "false", st.t("network.dhcp")),
		word(st, "network.offline", "true", st.t("network.offline")),
		{kind: paragraph, text: st.t("network.later")},
		st.goOn(),
	}
}
