package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/stek-edge/stek/installer/clock"
)

func clockCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "clock", Short: "Keep the time of a box without a battery", Hidden: true}
	cmd.AddCommand(
		&cobra.Command{Use: "floor", Short: "Set the clock to no earlier than it can be (run at each start)", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				words, err := clock.Node().Floor(clock.Set)
				if err == nil {
					fmt.Fprintln(cmd.OutOrStdout(), words)
				}
				return err
			}},
		&cobra.Command{Use: "save", Short: "Write the time down (run every ten minutes)", Args: cobra.NoArgs,
			RunE: func(*cobra.Command, []string) error { return clock.Node().Save() }},
	)
	return cmd
}
