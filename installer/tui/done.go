package tui

import (
	"strings"

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
	end := row{kind: button, id: "end", text: st.t("end"), do: func(*state) action { return leave }}
	if st.outcome == nil {
		rows := []row{{kind: finding, light: installer.Green, text: st.t("done.text")}}
		if p, _, err := st.plan(); err == nil {
			rows = append(rows, row{kind: paragraph, text: st.t("done.name", p.NodeName)}, row{kind: paragraph, text: st.t("done." + p.OnFinish)})
		}
		if st.left > 0 {
			rows = append(rows, row{kind: paragraph, text: st.t("countdown.end", st.left)})
		}
		return append(rows, end)
	}
	message, remedy := st.refusal(st.outcome)
	rows := []row{
		{kind: finding, light: installer.Red, text: message, note: remedy},
		{kind: paragraph, text: strings.TrimSpace(st.t("failed.text") + " " + st.reported())},
		{kind: button, id: "retry", text: st.t("retry"), do: func(*state) action { return begin }},
		{kind: button, id: "change", text: st.t("change"), do: func(*state) action { return back }},
	}
	if st.SaveReport != nil {
		rows = append(rows, row{kind: button, id: "save-report", text: st.t("report.save"), do: func(*state) action { return saveReport }})
	}
	return append(st.savable(rows, row{kind: button, id: "save", text: st.t("save"), do: func(*state) action { return save }}), end)
}

// reported says where the report is, if it is anywhere.
func (st *state) reported() string {
	if st.report == "" {
		return ""
	}
	return st.t("report", st.say(st.report))
}
