package preseed

import (
	"fmt"
	"reflect"
	"slices"
)

// clusterConflicts compares the answers about the cluster, the fleet, secrets and
// the methods that unlock the disk.
func clusterConflicts(a *Answers, add addConflict) {
	joins := a.K3s.Role == "server-join" || a.K3s.Role == "agent"
	switch {
	case joins && a.K3s.Server == "" && a.Fleet == nil:
		add("k3s.role", fmt.Sprintf("%s needs a server to join", a.K3s.Role), "write k3s.server, or fleet.hub, which names one", "k3s.server", "fleet")
	case joins && a.K3s.Server != "" && a.K3s.Token == "":
		add("k3s.server", "nobody joins a cluster without its token", "write k3s.token as secret:NAME", "k3s.token")
	case !joins && a.K3s.Server != "":
		add("k3s.server", "has a meaning only with role: server-join or agent", "take it out, or change k3s.role", "k3s.role")
	}
	if !joins && a.K3s.Token != "" {
		add("k3s.token", "has a meaning only with role: server-join or agent", "take it out, or change k3s.role", "k3s.role")
	}
	if a.K3s.Role == "agent" && a.Fleet == nil && !a.Network.VPN.Given() {
		add("k3s.role", "an agent without a tunnel is not in this version: its server would have no address to reach it at", "write network.vpn, or use server", "network.vpn")
	}
	if a.K3s.Role == "agent" && len(a.K3s.Disable) > 0 {
		add("k3s.disable", "an agent has no components of its own to leave out", "say it on the server", "k3s.role")
	}
	tang := slices.Contains(a.Encryption.Unlock, "tang")
	switch {
	case tang && a.Encryption.Tang == nil:
		add("encryption.unlock", "tang needs to know its server", "write encryption.tang: {url: …, thumbprint: …}", "encryption.tang")
	case !tang && a.Encryption.Tang != nil:
		add("encryption.tang", "a Tang server is given, but encryption.unlock does not name tang", "add tang to unlock, or take the server out", "encryption.unlock")
	}
	if tang && a.Network.Offline {
		add("encryption.unlock", "tang is a server in the network, and network.offline is true", "take one of them out", "network.offline")
	}
	if a.Encryption.Recovery.Escrow {
		if a.Encryption.Recovery.Recipient == "" {
			add("encryption.recovery.escrow", "only an encrypted recovery key leaves the box", "write encryption.recovery.recipient", "encryption.recovery.recipient")
		}
		if a.Fleet == nil {
			add("encryption.recovery.escrow", "there is no hub that could keep it", "write fleet.hub", "fleet")
		}
	}
	if a.Fleet != nil && a.Network.Offline {
		add("fleet", "a hub is in the network, and network.offline is true", "take one of them out", "network.offline")
	}
}

// secretConflicts finds values that stand in a secrets file that is not named.
func secretConflicts(a *Answers, add addConflict) {
	if a.Secrets.File != "" {
		return
	}
	visit(reflect.ValueOf(a).Elem(), "", "", func(key *Key, shown string, at reflect.Value) bool {
		if key.Secret {
			if name, ok := Secret(at.String()).Reference(); ok {
				add(shown, "stands in a secrets file, and none is named", "write secrets: {file: secrets.age}, and "+name+" into that file", "secrets.file")
			}
		}
		return true
	})
}
