package tui

import (
	"github.com/stek-edge/stek/installer"
)

// ending names the last page.
func (st *state) ending() string {
	if st.outcome != nil {
		return "failed"
	}
	return "done"
}

// done says how it ended. After a failure every answer is still there.
func done(st *state) []row {
	end := row{kind: button, text: st.t("end"), do: func(*state) action { return leave }}
	if st.outcome == nil {
		return []row{{kind: finding, light: installer.Green, text: st.t("done.text")}, {kind: paragraph, text: st.t("done.look")}, end}
	}
	message, remedy := refusal(st.outcome)
	rows := []row{
		{kind: finding, light: installer.Red, text: message, note: remedy},
		{kind: paragraph, text: st.t("failed.text")},
		{kind: button, text: st.t("retry"), do: func(*state) action { return begin }},
		{kind: button, text: st.t("change"), do: func(*state) action { return back }},
	}
	return append(st.savable(rows, row{kind: button, text: st.t("save"), do: func(*state) action { return save }}), end)
}
