package node

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/network"
	"github.com/stek-edge/stek/installer/network/keep"
	"github.com/stek-edge/stek/installer/network/probe"
	"github.com/stek-edge/stek/installer/preseed"
)

// trialUnit carries out what Change has asked for, whatever becomes of the session
// that asked.
const trialUnit = "stek-network-trial.service"

// Network is the network of this node: what is kept, and what carries a change out.
type Network struct {
	Keeper keep.Keeper
	Env    probe.Env
	Cards  func(context.Context) ([]hardware.NIC, error) // those of this moment: a radio may have got a new name
	Run    func(ctx context.Context, name string, args ...string) error
	Host   func() (string, error) // name of the node
	// Services are what every test tries to reach in the end, before and after a change: a
	// tunnel may shake hands and no longer lead to the cluster.
	Services []probe.Service
}

// ThisNetwork is that of the running machine.
func ThisNetwork() Network { return networkBelow("/") }

func networkBelow(root string) Network {
	return Network{
		Keeper: keep.Keeper{Dir: filepath.Join(root, stateDir, installer.NetworkJournal), Root: root},
		Env:    probe.Host(), Cards: cards, Run: installer.Tools{}.Do, Host: os.Hostname,
		Services: clusterServices(root),
	}
}

// ErrNoNetwork says that this machine keeps no network configuration: it is no
// installed node.
var ErrNoNetwork = errors.New("this machine keeps no network configuration")

// Kept is what the kept configuration should lead to. Keys of radios and tunnels are
// not in it.
func (n Network) Kept() (preseed.Network, error) {
	s, err := n.Keeper.Load()
	if err != nil {
		return preseed.Network{}, err
	}
	if s.Kept.Test == nil {
		return preseed.Network{}, ErrNoNetwork
	}
	return network.Recall(s.Kept.Test)
}

// Test runs every stage against what a network should lead to.
func (n Network) Test(ctx context.Context, of preseed.Network) (probe.Report, error) {
	nics, err := n.Cards(ctx)
	if err != nil {
		return probe.Report{}, err
	}
	want, err := network.Want(of, nics)
	if err != nil {
		return probe.Report{}, err
	}
	want.Services = n.Services
	return probe.Run(ctx, want, n.Env), nil
}

// Change has a new network tried, and returns its ID at once: see trialUnit. What
// becomes of it is in the keeper's journal.
func (n Network) Change(ctx context.Context, wanted preseed.Network, within time.Duration) (id string, err error) {
	config, err := n.render(ctx, wanted)
	if err != nil {
		return "", err
	}
	if err := n.Keeper.Ask(config, within); err != nil {
		return "", err
	}
	if err := n.Run(ctx, "systemctl", "start", "--no-block", trialUnit); err != nil {
		_, settling := n.Keeper.Settle()
		return "", errors.Join(err, settling)
	}
	return config.ID(), nil
}

// render makes the configuration of a network for this node, with the tunnel's key
// that it has.
func (n Network) render(ctx context.Context, wanted preseed.Network) (keep.Config, error) {
	kept, err := n.Kept()
	if err != nil {
		return keep.Config{}, err
	}
	var part *network.ChangeError
	if err := network.CheckChange(kept, wanted); errors.As(err, &part) {
		return keep.Config{}, &installer.Refusal{Status: installer.StatusRefused, Message: part.Problem, Remedy: part.Remedy(), Cause: part}
	}
	nics, err := n.Cards(ctx)
	if err != nil {
		return keep.Config{}, err
	}
	facts := network.Facts{NICs: nics}
	if facts.Node, err = n.Host(); err != nil {
		return keep.Config{}, err
	}
	key, err := os.ReadFile(filepath.Join(n.Keeper.Root, network.TunnelKeyPath))
	switch {
	case err == nil:
		facts.TunnelKey = preseed.Secret(strings.TrimSpace(string(key)))
	case !errors.Is(err, os.ErrNotExist):
		return keep.Config{}, err
	default:
		if facts.TunnelKey, err = network.NewKey(); err != nil {
			return keep.Config{}, err
		}
	}
	return keep.Make(wanted, facts)
}

// Try carries out what Change has asked for. Each test's report goes to seen.
func (n Network) Try(ctx context.Context, seen func(probe.Report)) (*keep.Past, error) {
	nics, err := n.Cards(ctx)
	if err != nil {
		return nil, err
	}
	k := n.Keeper
	k.Reload = keep.Systemd{Cards: nics, Run: n.Run}.Reload
	k.Test = func(ctx context.Context, c keep.Config) probe.Report { return n.testConfig(ctx, c) }
	k.Report = seen
	return k.Run(ctx)
}

// testConfig has no error to return: a configuration that cannot be tested has failed.
func (n Network) testConfig(ctx context.Context, c keep.Config) probe.Report {
	of, err := network.Recall(c.Test)
	var report probe.Report
	if err == nil {
		report, err = n.Test(ctx, of)
	}
	if err != nil {
		return probe.Report{Verdicts: []probe.Verdict{{Stage: probe.Carrier, Outcome: probe.Failed, Fault: probe.FaultNoCard, Saw: err.Error()}}}
	}
	return report
}

// Settle ends a trial that a restart has cut short; nil when there was none. At a
// start of the box the network programs do not run yet; later, running says that they
// must read their files again.
func (n Network) Settle(ctx context.Context, running bool) (*keep.Past, error) {
	s, err := n.Keeper.Load()
	if err != nil {
		return nil, err
	}
	past, err := n.Keeper.Settle()
	if err != nil || past == nil {
		return nil, err
	}
	if !running {
		// What the trial said about units has been read already at this start.
		return past, n.Run(ctx, "systemctl", "daemon-reload")
	}
	nics, err := n.Cards(ctx)
	if err != nil {
		return past, err
	}
	return past, keep.Systemd{Cards: nics, Run: n.Run}.Reload(ctx, s.Trial.Config, s.Kept)
}

func cards(ctx context.Context) ([]hardware.NIC, error) {
	inv, err := hardware.Look(ctx, hardware.Host())
	if err != nil {
		return nil, err
	}
	return inv.NICs, nil
}
