package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/network/joined"
	"github.com/stek-edge/stek/installer/network/probe"
	"github.com/stek-edge/stek/installer/node"
)

// networkTrialCommand is what stek-network-trial.service runs.
func networkTrialCommand() *cobra.Command {
	return &cobra.Command{
		Use: "trial", Hidden: true, Args: cobra.NoArgs,
		Short: "Try what 'stek network apply' has asked for (run by its own unit)",
		Long: `Put the network in place that 'stek network apply' has asked for, test it, and keep it
or bring the one before back. It goes on when the session that asked is cut off.`,
		Example: `  stek network trial`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			past, err := node.ThisNetwork().Try(cmd.Context(), func(r probe.Report) {
				for _, v := range r.Verdicts {
					writeVerdict(cmd.OutOrStdout(), v)
				}
			})
			if err == nil && past != nil {
				fmt.Fprintln(cmd.OutOrStdout(), past.Reason)
			}
			return err
		},
	}
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
			past, err := node.ThisNetwork().Settle(cmd.Context(), reload)
			if past != nil {
				fmt.Fprintf(cmd.OutOrStdout(), "the network before is back: %s\n", past.Reason)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&reload, "reload", false, "make the network programs read their files again")
	return cmd
}

// networkJoinedCommand is what stek-network-joined.service runs.
func networkJoinedCommand() *cobra.Command {
	return &cobra.Command{
		Use: "joined", Hidden: true, Args: cobra.NoArgs,
		Short: "Give a radio the addresses of the network that it has joined (run while up)",
		Long: `Follow which network each radio has joined, and have systemd-networkd give it what the
answers say of that network: a fixed address in one, DHCP in another. It is for radios
whose networks give different things.`,
		Example: `  stek network joined`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			radios := joined.Here(cmd.Context(), func(ctx context.Context) error {
				return installer.Tools{}.Do(ctx, "systemctl", "reload", "systemd-networkd.service")
			})
			radios.Tell = func(what string) { fmt.Fprintln(cmd.OutOrStdout(), what) }
			return joined.Follow(cmd.Context(), radios)
		},
	}
}
