package tui

import (
	"slices"
	"strings"
	"testing"
)

// Every key of an answer file is shown, and editing one leaves the others as they are, with
// the commas that are within them.
func TestSSHKeys(t *testing.T) {
	const (
		office = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJx3sVYZRWVnhvbXjUbuaBRVHAGrLGwiDgDDpGKvEnKW jan, office"
		field  = `from="10.0.0.0/8,10.1.0.0/16",no-pty ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKHEChAFE5XnTsOl0oXJfQJ8SgZrCIpVxgKOXZEq3bSY field`
		night  = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBCq4B9WAPUmhkBNBNXOy night"
	)
	for _, keys := range [][]string{{office}, {office, field}, {field, office, night}, {night, "no-pty,restrict " + office, field}} {
		s := session(t, "raid-server")
		s.Values["node.admin.ssh-keys"] = slices.Clone(keys)
		a := newApp(t.Context(), s, look{mono: true})
		a.open(a.st.at("node"))
		focusOn(t, a, "node.admin.ssh-keys")
		if got := a.edit.Value(); got != strings.Join(keys, ", ") {
			t.Errorf("shown: %q", got)
		}
		typeText(t, a, "-2")
		want := slices.Clone(keys)
		want[len(want)-1] += "-2"
		if got := a.st.draft.list("node.admin.ssh-keys"); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	a := newApp(t.Context(), session(t, "raid-server"), look{mono: true})
	a.open(a.st.at("node"))
	typeInto(t, a, "node.admin.ssh-keys", "x")
	if a.rows[a.focus].fault == "" {
		t.Error("what is no key has no fault")
	}
	press(t, a, "backspace")
	if got := a.st.draft.list("node.admin.ssh-keys"); len(got) > 0 {
		t.Errorf("taken away: %q", got)
	}
}
