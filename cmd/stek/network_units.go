package main

import (
	"fmt"

	"github.com/spf13/cobra"

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
