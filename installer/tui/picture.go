package tui

import "github.com/stek-edge/stek/installer/console"

// picture is a page with what a step shows, as a QR code.
func picture(st *state) []row {
	drawn, err := console.QR(st.shown)
	if err != nil {
		drawn = st.say(err.Error())
	}
	return []row{{kind: paragraph, text: drawn}, {kind: button, id: "continue", text: st.t("continue"), do: func(*state) action { return resume }}}
}
