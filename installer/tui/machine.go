package tui

import "github.com/stek-edge/stek/installer"

// machine shows what the machine is good for, before anything is asked about it.
func machine(st *state) []row {
	rows := []row{{kind: paragraph, text: st.t("machine.text")}}
	for _, f := range installer.Fitness(st.Inventory) {
		rows = append(rows, row{kind: finding, light: f.State, text: st.t("part."+f.Part) + ": " + st.say(f.Words), note: st.say(f.Remedy)})
	}
	return append(rows, st.goOn())
}
