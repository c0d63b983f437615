package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.zx2c4.com/wireguard/wgctrl"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/network"
	"github.com/stek-edge/stek/installer/network/endpoint"
	"github.com/stek-edge/stek/installer/network/keep"
	"github.com/stek-edge/stek/installer/network/probe"
	"github.com/stek-edge/stek/installer/onbox"
	"github.com/stek-edge/stek/installer/preseed"
)

func networkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "network",
		Short: "Test, change and look at the network of this box",
		Long: `Test, change and look at the network of this box. A configuration is tested before it
is kept; the last one that worked is kept beside it and returns by itself.`,
	}
	cmd.AddCommand(networkTestCommand(), networkApplyCommand(), networkConfirmCommand(), networkStatusCommand(),
		networkKeyCommand(), networkTrialCommand(), networkSettleCommand(), networkFollowCommand())
	return cmd
}

func networkTestCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "test",
		Short: "Test the connection stage by stage, and say what to do",
		Long: `Test the connection stage by stage: carrier, WiFi, address, gateway, names, clock,
proxy, packet size, VPN and services. Nothing is changed. Without --preseed a node
tests what it was set up with. The exit status is 1 when a stage fails.`,
		Example: `  stek network test --output json`,
		Args:    cobra.NoArgs,
	}
	cmd.Flags().StringVar(&file, "preseed", "", "test what this answer file expects")
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(*output); err != nil {
			return err
		}
		n, err := expected(cmd.Context(), file)
		if err != nil {
			return err
		}
		nics, err := cards(cmd.Context())
		if err != nil {
			return err
		}
		want, err := network.Want(n, nics)
		if err != nil {
			return err
		}
		want.Services = clusterServices("/")
		env := probe.Host()
		if *output == "text" {
			env.Seen = func(v probe.Verdict) { writeVerdict(cmd.OutOrStdout(), v) }
		}
		report := probe.Run(cmd.Context(), want, env)
		if *output == "json" {
			if err := printJSON(cmd.OutOrStdout(), report); err != nil {
				return err
			}
		}
		if v, failed := report.Failed(); failed {
			return fmt.Errorf("the stage %s failed: %s", v.Stage, v.Saw)
		}
		return nil
	}
	return cmd
}

// expected is the network of an answer file, or the one that this node keeps.
func expected(ctx context.Context, file string) (preseed.Network, error) {
	if file != "" {
		return answered(ctx, file)
	}
	s, err := keeper().Load()
	if err != nil {
		return preseed.Network{}, err
	}
	if s.Kept.Test == nil {
		return preseed.Network{}, usageError{errors.New("this machine keeps no network configuration; name an answer file with --preseed FILE")}
	}
	return network.Recall(s.Kept.Test)
}

// answered is the network that an answer file gives this machine.
func answered(ctx context.Context, file string) (preseed.Network, error) {
	inv, err := hardware.Look(ctx, hardware.Host())
	if err != nil {
		return preseed.Network{}, err
	}
	keys, err := onbox.ImageKeys("/")
	if err != nil {
		return preseed.Network{}, err
	}
	answers, err := onbox.ReadAnswers(ctx, file, file, inv, keys, terminal{})
	if err != nil {
		return preseed.Network{}, err
	}
	return answers.Full.Network, nil
}

func writeVerdict(w io.Writer, v probe.Verdict) {
	name := string(v.Stage)
	if v.Of != "" {
		name += " (" + v.Of + ")"
	}
	fmt.Fprintf(w, "%-8s %-32s %6.1f s  %s\n", v.Outcome, name, v.Took.Seconds(), v.Saw)
	if v.Do != "" {
		fmt.Fprintf(w, "         what to do: %s\n", v.Do)
	}
}

// trialUnit carries out what apply has asked for, whatever becomes of the session
// that asked.
const trialUnit = "stek-network-trial.service"

func networkApplyCommand() *cobra.Command {
	var within time.Duration
	cmd := &cobra.Command{
		Use:   "apply FILE",
		Short: "Try the network of an answer file, and keep it when it works",
		Long: `Put the network of an answer file in place, test it, and keep it when it is no worse
than the one before. With --confirm-within the one before returns unless somebody
runs 'stek network confirm' in that time: for a box that is changed from afar. After
a failed test, and after a restart in between, the one before returns by itself.`,
		Example: `  stek network apply site.yaml --confirm-within 2m`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			wanted, err := answered(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			config, err := newConfig(cmd.Context(), wanted)
			if err != nil {
				return err
			}
			for _, w := range network.Warnings(wanted) {
				fmt.Fprintln(cmd.ErrOrStderr(), "warning:", w)
			}
			k := keeper()
			if err := k.Ask(config, within); err != nil {
				return err
			}
			if err := run(cmd.Context(), "systemctl", "start", "--no-block", trialUnit); err != nil {
				_, settleErr := k.Settle()
				return errors.Join(err, settleErr)
			}
			return follow(cmd, k, config.ID(), within)
		},
	}
	cmd.Flags().DurationVar(&within, "confirm-within", 0, "return to the network before unless confirmed in this time, such as 2m")
	return cmd
}

// newConfig renders a network for this box, with the tunnel's key that it has.
func newConfig(ctx context.Context, n preseed.Network) (keep.Config, error) {
	s, err := keeper().Load()
	if err != nil {
		return keep.Config{}, err
	}
	if s.Kept.Test == nil {
		return keep.Config{}, usageError{errors.New("this machine is not an installed stek node")}
	}
	kept, err := network.Recall(s.Kept.Test)
	if err != nil {
		return keep.Config{}, err
	}
	before, _, _ := network.NodeAddress(kept)
	if after, _, _ := network.NodeAddress(n); after != before {
		return keep.Config{}, &installer.Refusal{Status: installer.StatusRefused,
			Message: "the cluster knows this node by the address of its tunnel, which would change",
			Remedy:  "keep network.vpn.wireguard.address as it is, or install the box anew"}
	}
	nics, err := cards(ctx)
	if err != nil {
		return keep.Config{}, err
	}
	host, err := os.Hostname()
	if err != nil {
		return keep.Config{}, err
	}
	f := network.Facts{Node: host, NICs: nics}
	key, err := os.ReadFile(network.TunnelKeyPath)
	switch {
	case err == nil:
		f.TunnelKey = preseed.Secret(strings.TrimSpace(string(key)))
	case !errors.Is(err, os.ErrNotExist):
		return keep.Config{}, err
	default:
		if f.TunnelKey, err = network.NewKey(); err != nil {
			return keep.Config{}, err
		}
	}
	return keep.Make(n, f)
}

// follow tells how a trial goes until it has ended. A session that is cut off here
// changes nothing about it.
func follow(cmd *cobra.Command, k keep.Keeper, id string, within time.Duration) error {
	told := false
	for {
		s, err := k.Load()
		if err != nil {
			return err
		}
		switch {
		case s.Trial == nil && s.Last != nil && s.Last.Kept:
			fmt.Fprintf(cmd.OutOrStdout(), "kept: %s\n", s.Last.Reason)
			return nil
		case s.Trial == nil && s.Last != nil:
			return fmt.Errorf("the network before is back: %s", s.Last.Reason)
		case s.Trial != nil && s.Trial.Good && !told:
			told = true
			fmt.Fprintf(cmd.OutOrStdout(), "the test was passed; run 'stek network confirm %s' within %v, or the network before returns\n", id, within)
		}
		select {
		case <-cmd.Context().Done():
			return cmd.Context().Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func networkConfirmCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "confirm [ID]",
		Short: "Keep the network that is being tried",
		Long: `Keep the network that 'stek network apply --confirm-within' is trying, once its test was
passed. With the ID that apply printed, only that one is kept and no other.`,
		Example: `  stek network confirm`,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return keeper().Confirm(strings.Join(args, ""))
		},
	}
}

func networkStatusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Print which network configuration is kept and which is tried",
		Long: `Print the ID of the network configuration that is kept, of the one that is being tried,
and why the last trial ended as it did.`,
		Example: `  stek network status`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := keeper().Load()
			if err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			if s.Kept.Test == nil {
				fmt.Fprintln(w, "this machine keeps no network configuration")
				return nil
			}
			fmt.Fprintf(w, "kept   %s\n", s.Kept.ID())
			if t := s.Trial; t != nil {
				state := "being tested"
				if t.Good {
					state = "waiting to be confirmed"
				}
				fmt.Fprintf(w, "tried  %s, %s\n", t.Config.ID(), state)
			}
			if s.Last != nil {
				fmt.Fprintf(w, "last   %s: %s\n", s.Last.ID, s.Last.Reason)
			}
			return nil
		},
	}
}

func networkKeyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "key",
		Short: "Print the public key of this box's tunnel, for its other end",
		Long: `Print the public key of this box's WireGuard tunnel. The private key was made on the box
and never leaves it; give this one to whoever keeps the other end. A terminal shows it as
a QR code, too.`,
		Example: `  stek network key`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return printTunnelKey(cmd.OutOrStdout())
		},
	}
}

// networkTrialCommand is what trialUnit runs.
func networkTrialCommand() *cobra.Command {
	return &cobra.Command{
		Use: "trial", Hidden: true, Args: cobra.NoArgs,
		Short: "Try what 'stek network apply' has asked for (run by its own unit)",
		Long: `Put the network in place that 'stek network apply' has asked for, test it, and keep it
or bring the one before back. It goes on when the session that asked is cut off.`,
		Example: `  stek network trial`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			nics, err := cards(cmd.Context())
			if err != nil {
				return err
			}
			k := keeper()
			k.Reload = keep.Systemd{Cards: names(nics), Run: run}.Reload
			k.Test = func(ctx context.Context, c keep.Config) probe.Report { return testConfig(ctx, c) }
			k.Report = func(r probe.Report) {
				for _, v := range r.Verdicts {
					writeVerdict(cmd.OutOrStdout(), v)
				}
			}
			past, err := k.Run(cmd.Context())
			if err == nil && past != nil {
				fmt.Fprintln(cmd.OutOrStdout(), past.Reason)
			}
			return err
		},
	}
}

// testConfig tests with the names that cards have at this moment: a radio may have
// got a new one.
func testConfig(ctx context.Context, c keep.Config) probe.Report {
	n, err := network.Recall(c.Test)
	var nics []hardware.NIC
	if err == nil {
		nics, err = cards(ctx)
	}
	var want probe.Want
	if err == nil {
		want, err = network.Want(n, nics)
	}
	if err != nil {
		return probe.Report{Verdicts: []probe.Verdict{{Stage: probe.Carrier, Outcome: probe.Failed, Fault: probe.FaultNoCard, Saw: err.Error()}}}
	}
	return probe.Run(ctx, want, probe.Host())
}

func networkSettleCommand() *cobra.Command {
	var reload bool
	cmd := &cobra.Command{
		Use: "settle", Hidden: true, Args: cobra.NoArgs,
		Short: "End a trial that a restart has cut short (run at each start)",
		Long: `Bring the network before back where a restart has cut a trial short, before the network
programs start. Without a trial it does nothing.`,
		Example: `  stek network settle`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			k := keeper()
			s, err := k.Load()
			if err != nil {
				return err
			}
			past, err := k.Settle()
			if err != nil || past == nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "the network before is back: %s\n", past.Reason)
			if !reload {
				// What the trial said about units has been read already at this start.
				return run(cmd.Context(), "systemctl", "daemon-reload")
			}
			nics, err := cards(cmd.Context())
			if err != nil {
				return err
			}
			return keep.Systemd{Cards: names(nics), Run: run}.Reload(cmd.Context(), s.Trial.Config, s.Kept)
		},
	}
	cmd.Flags().BoolVar(&reload, "reload", false, "make the network programs read their files again")
	return cmd
}

// networkFollowCommand is what stek-network-endpoint.service runs.
func networkFollowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "follow", Hidden: true, Args: cobra.NoArgs,
		Short: "Follow the other end of the tunnel when its name moves (run while up)",
		Long: `Look the names of the tunnel's peers up again, every 30 seconds, and tell the kernel when
one has moved: WireGuard itself asks once only.`,
		Example: `  stek network follow`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			n, err := expected(cmd.Context(), "")
			if err != nil {
				return err
			}
			if n.VPN.WireGuard == nil {
				return nil
			}
			client, err := wgctrl.New()
			if err != nil {
				return err
			}
			defer client.Close()
			tunnel := endpoint.Of(client, network.Tunnel, *n.VPN.WireGuard)
			tunnel.Every = endpoint.Interval
			tunnel.Moved = func(m endpoint.Move) {
				fmt.Fprintf(cmd.OutOrStdout(), "the peer %s is now at %s\n", m.Key, m.To)
			}
			endpoint.Follow(cmd.Context(), tunnel)
			return nil
		},
	}
}

func keeper() keep.Keeper {
	return keep.Keeper{Dir: filepath.Join("/state", installer.NetworkJournal), Root: "/"}
}

func cards(ctx context.Context) ([]hardware.NIC, error) {
	inv, err := hardware.Look(ctx, hardware.Host())
	if err != nil {
		return nil, err
	}
	return inv.NICs, nil
}

func names(nics []hardware.NIC) []string {
	var all []string
	for _, n := range nics {
		all = append(all, n.Name)
	}
	return all
}

// run starts a program for what it does; what it prints is shown only when it fails.
func run(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
