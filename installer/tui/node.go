package tui

// node asks what the box is called and who may look after it.
func node(st *state) []row {
	rows := []row{
		keyed(st, "node.name", st.t("node.name")),
		keyed(st, "node.site", st.t("node.site")),
		keyed(st, "node.timezone", st.t("node.timezone")),
		keyed(st, "node.admin.ssh-keys", st.t("node.ssh")),
		{kind: heading, text: st.t("node.finish")},
		word(st, "on-finish", "reboot", st.t("finish.reboot")),
		word(st, "on-finish", "poweroff", st.t("finish.poweroff")),
		word(st, "on-finish", "stay", st.t("finish.stay")),
	}
	return st.placed([]string{"node", "on-finish"}, rows, st.goOn())
}
