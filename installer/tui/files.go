package tui

import (
	"slices"
	"strings"

	"github.com/stek-edge/stek/installer"
)

// File is a text that somebody left on the stick for the screens to take: a wg0.conf, a
// certificate.
type File struct {
	Name string // as a person finds it, such as "stek/wg0.conf"
	Text string // may hold a secret: never shown
}

// filesOf are those whose names end so.
func (st *state) filesOf(endings ...string) []File {
	return slices.DeleteFunc(slices.Clone(st.Files), func(f File) bool {
		return !slices.ContainsFunc(endings, func(e string) bool { return strings.HasSuffix(strings.ToLower(f.Name), e) })
	})
}

// fromFile asks which file's text a key gets. What may be left out has an option of its
// own, and so has what came with the answers.
func fromFile(st *state, path, label string, optional bool, endings ...string) []row {
	have, files := st.draft.one(path), st.filesOf(endings...)
	rows := []row{{kind: heading, text: label}}
	if optional {
		rows = append(rows, choice(path+"=", st.t("file.no"), have == "", func(st *state) { st.draft.drop(path) }))
	}
	found := have == ""
	for _, f := range files {
		found = found || f.Text == have
		rows = append(rows, choice(path+"="+f.Name, f.Name, f.Text == have, func(st *state) { st.draft.set(path, f.Text) }))
	}
	switch {
	case !found:
		rows = append(rows, choice(path+"=given", st.t("file.given"), true, func(*state) {}))
	case len(files) == 0:
		rows = append(rows, row{kind: finding, light: installer.Yellow, text: st.t("file.none", strings.Join(endings, ", "))})
	}
	return rows
}

// choice is one of several that changes nothing but the answers.
func choice(id, text string, on bool, do func(st *state)) row {
	return row{kind: option, id: id, text: text, on: on, do: func(st *state) action {
		do(st)
		return stay
	}}
}
