package tui

// welcome asks how the person wants to be spoken to, and how they type: before anything
// secret is typed.
func welcome(st *state) []row {
	text := st.t("welcome.text")
	if st.Resumed {
		text = st.t("welcome.resumed")
	}
	rows := []row{{kind: paragraph, text: text}, {kind: heading, text: st.t("language")}}
	for _, l := range languages {
		rows = append(rows, row{kind: option, id: "language=" + l.tag, text: l.name, on: st.texts.tag == l.tag, do: func(st *state) action {
			st.draft.set("node.language", l.tag)
			st.texts = messages(l.tag)
			return stay
		}})
	}
	rows = append(rows, row{kind: heading, text: st.t("keyboard")}, keyed(st, "node.keyboard", st.t("keyboard")))
	return st.placed([]string{"node.language", "node.keyboard"}, rows, st.goOn())
}
