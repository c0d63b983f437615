package tui

import (
	"strings"
	"testing"
)

// TestRole: an agent's cluster is judged like in an answer file, its token hidden and saved
// nowhere; both are there again for a person who returns to it, and gone for a server.
func TestRole(t *testing.T) {
	const token = "K10f00::server:letmein"
	s := session(t, "raid-server")
	var saved string
	s.Save = func(text []byte) (string, error) { saved = string(text); return "", nil }
	s.Values["network.vpn.config"] = []string{"[Interface]\nPrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\nAddress = 10.77.0.7/32\n\n" +
		"[Peer]\nPublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\nEndpoint = vpn.example.org:51820\nAllowedIPs = 10.77.0.0/16\n"}
	a := newApp(t.Context(), s, look{mono: true})
	a.open(2)
	choose(t, a, "SAMSUNG")
	a.open(a.st.at("node"))
	choose(t, a, a.st.t("role.agent"))
	if ahead := a.rows[len(a.rows)-1]; !strings.Contains(ahead.fault, "needs a server to join") {
		t.Errorf("an agent of nobody: %q", ahead.fault)
	}
	typeInto(t, a, serverPath, "http://10.77.0.1:6443")
	if got := a.rows[a.focus].fault; !strings.Contains(got, "https://") {
		t.Errorf("a server without encryption: %q", got)
	}
	typeInto(t, a, serverPath, "https://10.77.0.1:6443")
	if got := a.rows[a.focus].fault; !strings.Contains(got, "without its token") {
		t.Errorf("a server without a token: %q", got)
	}
	typeInto(t, a, tokenPath, token)
	p := mustPlan(t, a)
	if p.Role != "agent" || p.Server != "https://10.77.0.1:6443" {
		t.Errorf("the plan: %s of %q", p.Role, p.Server)
	}
	choose(t, a, a.st.t("role.server"))
	if got, err := a.st.answers(); err != nil || got.K3s.Role != "server" || got.K3s.Server != "" || got.K3s.Token != "" {
		t.Errorf("a server of its own cluster: %+v, %v", got, err)
	}
	choose(t, a, a.st.t("role.agent"))
	if got, err := a.st.answers(); err != nil || got.K3s.Token.Reveal() != token || got.K3s.Server != p.Server {
		t.Errorf("an agent again: %+v, %v", got, err)
	}
	a.do(save)
	if strings.Contains(plain(a), "letmein") || !strings.Contains(saved, "role: agent") || strings.Contains(saved, "letmein") {
		t.Errorf("the page:\n%s\nsaved:\n%s", plain(a), saved)
	}
	a.open(a.st.at("review"))
	if !strings.Contains(plain(a), "k3s agent of https://10.77.0.1:6443") {
		t.Errorf("the review:\n%s", plain(a))
	}
	a.st.draft.drop("network.vpn")
	a.open(a.st.at("node"))
	if ahead := a.rows[len(a.rows)-1]; !strings.Contains(ahead.fault, "without a tunnel") {
		t.Errorf("an agent without a tunnel: %q", ahead.fault)
	}
}
