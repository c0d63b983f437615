package installer

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/stek-edge/stek/installer/k3s"
	"github.com/stek-edge/stek/installer/network"
	"github.com/stek-edge/stek/installer/network/keep"
	"github.com/stek-edge/stek/installer/preseed"
)

// NetworkJournal is the folder on the state volume, from its root, in which a node
// keeps the network configuration that works.
const NetworkJournal = stateStek + "/network"

// clusterFacts gives the cluster the address of the tunnel, where there is one, and
// the fixed addresses by which the site may ask for the node.
func clusterFacts(plan *Plan, a *preseed.Answers) k3s.Facts {
	f := k3s.Facts{Name: plan.NodeName, Source: plan.Image.K3sSource}
	if address, device, ok := network.NodeAddress(a.Network); ok {
		f.Address, f.Device = address, device
	}
	for _, l := range a.Network.Links {
		for _, own := range l.Addresses {
			f.Names = append(f.Names, own.Addr().String())
		}
	}
	return f
}

// checkNetwork refuses answers whose links this machine has no cards for.
func checkNetwork(plan *Plan, n preseed.Network) error {
	// The key is of no matter here, and may not be looked up yet.
	key, err := network.NewKey()
	if err != nil {
		return err
	}
	if n.VPN.WireGuard != nil {
		w := *n.VPN.WireGuard
		w.PrivateKey, n.VPN.WireGuard = "", &w
	}
	_, err = network.Render(n, network.Facts{Node: plan.NodeName, NICs: plan.Cards, TunnelKey: key})
	var card *network.CardError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &card):
		return &Refusal{Status: StatusMissing, Message: "network link " + card.Link + ": " + card.Problem, Remedy: card.Remedy, Cause: err}
	}
	return &Refusal{Status: StatusInvalid, Message: err.Error(), Cause: err}
}

// layNetwork writes the network's files below the node's /etc, and the journal in
// which it is the one that works.
func layNetwork(dir string, plan *Plan, a *preseed.Answers, tunnel preseed.Secret) error {
	config, err := keep.Make(a.Network, network.Facts{Node: plan.NodeName, NICs: plan.Cards, TunnelKey: tunnel})
	if err != nil {
		return err
	}
	for _, f := range config.Files {
		path := filepath.Join(dir, stateEtc, strings.TrimPrefix(f.Path, "/etc/"))
		if f.Link != "" {
			if err := link(f.Link, path); err != nil {
				return err
			}
			continue
		}
		file := nodeFile{filepath.Join(stateEtc, strings.TrimPrefix(f.Path, "/etc/")), string(f.Data), f.Mode}
		if err := file.write(dir); err != nil {
			return err
		}
		if strings.HasPrefix(f.Path, filepath.Dir(network.TunnelKeyPath)+"/") {
			if err := os.Chmod(filepath.Dir(path), 0o700); err != nil {
				return err
			}
		}
	}
	return keep.Keeper{Dir: filepath.Join(dir, NetworkJournal)}.Adopt(config)
}

// link makes a symbolic link; one that a try before has made is replaced.
func link(target, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return err
	}
	return os.Symlink(target, path)
}
