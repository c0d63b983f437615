package tui

// What the answers say about the cluster of another that the box joins.
const (
	rolePath   = "k3s.role"
	serverPath = "k3s.server"
	tokenPath  = "k3s.token"
)

// role asks what the box is in its cluster: the server of its own, or an agent of another's.
func role(st *state) []row {
	rows := []row{
		{kind: heading, text: st.t("role")},
		{kind: option, id: rolePath + "=server", text: st.t("role.server"), on: st.draft.one(rolePath) == "server", do: (*state).lead},
		{kind: option, id: rolePath + "=agent", text: st.t("role.agent"), on: st.draft.one(rolePath) == "agent", do: (*state).join},
	}
	if st.draft.one(rolePath) != "agent" {
		return rows
	}
	return append(rows, keyed(st, tokenPath, st.t("role.token")), keyed(st, serverPath, st.t("role.joined")))
}

// lead makes the box a server. Which cluster it was to join is kept for a person who returns
// to that.
func (st *state) lead() action {
	if st.draft.one(rolePath) == "agent" {
		st.joined = map[string][]string{serverPath: st.draft.list(serverPath), tokenPath: st.draft.list(tokenPath)}
	}
	st.draft.set(rolePath, "server")
	st.draft.drop(serverPath)
	st.draft.drop(tokenPath)
	return stay
}

// join makes the box an agent, of the cluster that was named before if there was one.
func (st *state) join() action {
	st.draft.set(rolePath, "agent")
	for _, path := range []string{serverPath, tokenPath} {
		if !st.draft.any(path) {
			st.draft.set(path, st.joined[path]...)
		}
	}
	return stay
}
