package tui

import (
	"regexp"
	"strings"
)

// node asks what the box is called, who may look after it, and what it is in its cluster.
func node(st *state) []row {
	rows := []row{
		keyed(st, "node.name", st.t("node.name")),
		keyed(st, "node.site", st.t("node.site")),
		keyed(st, "node.timezone", st.t("node.timezone")),
		sshKeys(st),
	}
	rows = append(append(rows, role(st)...),
		row{kind: heading, text: st.t("node.finish")},
		word(st, "on-finish", "reboot", st.t("finish.reboot")),
		word(st, "on-finish", "poweroff", st.t("finish.poweroff")),
		word(st, "on-finish", "stay", st.t("finish.stay")))
	return st.placed([]string{"node", "k3s", "on-finish"}, rows, st.goOn())
}

// sshKeys is an input for all public keys, with commas between them. A comma may also be
// within one: in its comment, or among its options.
func sshKeys(st *state) row {
	const path = "node.admin.ssh-keys"
	r := listed(st, path, st.t("node.ssh"))
	r.set = func(st *state, typed string) { st.draft.set(path, splitKeys(typed)...) }
	return r
}

// splitKeys takes lines of authorized_keys apart that stand behind each other. A comma ends
// one that has its key, where another one begins.
func splitKeys(typed string) []string {
	var all []string
	for part := range strings.SplitSeq(typed, ",") {
		if last := len(all) - 1; last >= 0 && (!keyType.MatchString(all[last]) || !keyBegins.MatchString(part)) {
			all[last] += "," + part
			continue
		}
		all = append(all, part)
	}
	for i := range all {
		all[i] = strings.TrimSpace(all[i])
	}
	return all
}

// A line of authorized_keys begins with the type of its key, or with an option (sshd(8)).
var (
	keyType   = regexp.MustCompile(`(^|\s)(ssh|ecdsa|sk)-\S+\s`)
	keyBegins = regexp.MustCompile(`^\s*((ssh|ecdsa|sk)-\S+\s|[a-z0-9-]+="|(restrict|cert-authority|(no-)?(pty|user-rc|(agent|port|x11|X11)-forwarding|touch-required)|verify-required)(\s|$))`)
)
