package tui

import (
	"errors"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/keymap"
	"github.com/stek-edge/stek/installer/preseed"
)

// keyboardKey is where the answers keep the layout of the keyboard.
const keyboardKey = "node.keyboard"

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
	typed := keyed(st, keyboardKey, st.t("keyboard"))
	var untaken []row
	if st.misfit != nil && typed.fault == "" && typed.value == st.layout {
		why := st.say(st.misfit.Error())
		if missing := (*keymap.LayoutError)(nil); errors.As(st.misfit, &missing) {
			typed.fault = why
		} else { // no other layout helps: the one that is there must do
			untaken = append(untaken, row{kind: finding, light: installer.Yellow, text: why})
		}
	}
	rows = append(append(rows, row{kind: heading, text: st.t("keyboard")}, typed), untaken...)
	return st.placed([]string{"node.language", keyboardKey}, rows, st.goOn())
}

// useKeyboard gives this console the layout that was answered, unless it has it already. The
// page shows why it has not taken it.
func (st *state) useKeyboard() error {
	layout := st.draft.one(keyboardKey)
	if st.Keyboard == nil || layout == st.layout && st.misfit == nil || preseed.CheckValue(keyboardKey, layout) != nil {
		return nil
	}
	st.layout, st.misfit = layout, st.Keyboard(layout)
	return st.misfit
}
