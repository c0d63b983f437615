package tui

// keyList tells what the keys do.
func keyList(st *state) []row {
	return []row{{kind: paragraph, text: st.t("keys.text")}, {kind: button, id: "continue", text: st.t("continue"), do: func(*state) action { return resume }}}
}

// quitQuestion asks before anything ends. Going on comes first.
func quitQuestion(st *state) []row {
	text := st.t("quit.ask")
	if st.phase == working {
		text = st.t("quit.ask.working")
	}
	return []row{
		{kind: paragraph, text: text},
		{kind: button, id: "no", text: st.t("quit.no"), do: func(*state) action { return resume }},
		{kind: button, id: "yes", text: st.t("quit.yes"), do: func(*state) action { return quit }},
	}
}

// logLines are what the steps have said.
func logLines(st *state) []row {
	var rows []row
	for _, line := range st.log {
		rows = append(rows, row{kind: paragraph, text: line})
	}
	return append(rows, row{kind: button, id: "continue", text: st.t("continue"), do: func(*state) action { return resume }})
}
