package tui

import "strings"

// keyList tells what the keys do.
func keyList(st *state) []row {
	return []row{{kind: paragraph, text: st.t("keys.text")}, {kind: button, id: "continue", text: st.t("continue"), do: func(*state) action { return resume }}}
}

// quitQuestion asks before anything ends. Going on comes first.
func quitQuestion(st *state) []row {
	text, yes := st.t("quit.ask"), st.t("quit.yes")
	switch {
	case st.phase == working:
		text = st.t("quit.ask.working")
	case st.phase == over && st.outcome == nil:
		text, yes = st.t("quit.ask.done"), st.t("quit.yes.done")
	}
	return []row{
		{kind: paragraph, text: text},
		{kind: button, id: "no", text: st.t("quit.no"), do: func(*state) action { return resume }},
		{kind: button, id: "yes", text: yes, do: func(*state) action { return quit }},
	}
}

// logLines are what the steps have said, as the line mode shows it.
func logLines(st *state) []row {
	var rows []row
	if st.log.Len() > 0 {
		rows = append(rows, row{kind: paragraph, text: strings.TrimRight(st.log.String(), "\n"), hang: 2})
	}
	return append(rows, row{kind: button, id: "continue", text: st.t("continue"), do: func(*state) action { return resume }})
}
