package tui

import (
	"fmt"
	"strings"

	"github.com/stek-edge/stek/installer"
)

// confirmLength is how much of the disk's serial number is typed before it is erased.
const confirmLength = 4

// planIndent is where the text of a line of a written plan begins.
const planIndent = 11

// review shows the plan as the engine writes it, and asks for the consent.
func review(st *state) []row {
	p, _, err := st.plan()
	if err != nil {
		message, remedy := st.refusal(err)
		return []row{
			{kind: finding, light: installer.Red, text: message, note: remedy},
			{kind: button, id: "change", text: st.t("change"), do: func(*state) action { return back }},
		}
	}
	rows := []row{{kind: paragraph, text: st.written(p), hang: planIndent}}
	keep := row{kind: button, id: "save", text: st.t("save"), do: func(*state) action { return save }}
	if st.Install == nil {
		rows = append(rows, row{kind: paragraph, text: st.t("rehearsal")}, row{kind: button, id: "end", text: st.t("end"), do: func(*state) action { return leave }})
		return st.savable(rows, keep)
	}
	want := confirmation(p)
	if len(p.Disk.Erased) > 0 {
		rows = append(rows, row{kind: finding, light: installer.Red, text: st.t("erases")})
	}
	ask := row{kind: input, id: "confirm", text: st.t("confirm", want), value: st.typed, set: func(st *state, value string) { st.typed = value }}
	start := row{kind: button, id: "install", text: st.t("install"), strict: true, do: func(*state) action { return begin }}
	if st.left > 0 {
		rows = append([]row{{kind: paragraph, text: st.t("countdown.begin", st.left)}}, rows...)
		return st.savable(append(rows, row{kind: button, id: "install", text: st.t("install"), do: func(*state) action { return begin }}), keep)
	}
	if !st.agreed(p) {
		ask.fault = st.t("confirm.first", want)
	}
	return st.savable(append(rows, ask, start), keep)
}

// savable adds the button that saves the answers, where there is a place for them.
func (st *state) savable(rows []row, keep row) []row {
	if st.Save == nil {
		return rows
	}
	return append(rows, keep)
}

// beginsAlone tells whether an installation may begin with nobody's consent: an answer file
// stands behind it, and nothing is lost.
func (st *state) beginsAlone() bool {
	p, _, err := st.plan()
	return err == nil && st.Install != nil && len(st.Ask) > 0 && len(p.Disk.Erased) == 0
}

// confirmation is what a person types to consent: the end of the serial number that is
// printed on the disk, or of its path where the disk tells no number.
func confirmation(p *installer.Plan) string {
	text := p.Disk.Chosen.Serial
	if text == "" {
		text = p.Disk.Chosen.Path
	}
	if r := []rune(text); len(r) > confirmLength {
		return string(r[len(r)-confirmLength:])
	}
	return text
}

// written is a plan as the engine writes it, with the labels and the text of each line in the
// language of the person.
func (st *state) written(p *installer.Plan) string {
	var plan, own strings.Builder
	_ = installer.WritePlan(&plan, p) // a builder takes everything
	for line := range strings.Lines(plan.String()) {
		line = strings.TrimSuffix(line, "\n")
		label := line[:min(planIndent, len(line))]
		fmt.Fprintf(&own, "%-*s%s\n", planIndent, st.say(strings.TrimSpace(label)), st.say(line[len(label):]))
	}
	return strings.TrimRight(own.String(), "\n")
}

// refusal is an error as what is the case, and what to do.
func (st *state) refusal(err error) (message, remedy string) {
	remedy = installer.RemedyOf(err)
	return st.say(strings.TrimSuffix(err.Error(), "; "+remedy)), st.say(remedy)
}
