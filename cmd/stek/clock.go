package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/stek-edge/stek/installer/clock"
)

func clockCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "clock", Short: "Keep the time of a box without a battery", Hidden: true,
		Long: `Keep the time of a box whose clock has no battery: never before what is known to have
been, never far beyond what can be.`,
	}
	cmd.AddCommand(
		&cobra.Command{
			Use: "floor", Short: "Set the clock to no earlier than it can be (run at each start)", Args: cobra.NoArgs,
			Long: `Set the clock to no earlier than the image was built, the time was last written down or
the newest certificate is valid from, and not to a time far ahead of all of them.`,
			Example: `  stek clock floor`,
			RunE: func(cmd *cobra.Command, _ []string) error {
				words, err := clock.Node().Floor(clock.Set)
				if err == nil {
					fmt.Fprintln(cmd.OutOrStdout(), words)
				}
				return err
			}},
		&cobra.Command{
			Use: "save", Short: "Write the time down (run every ten minutes)", Args: cobra.NoArgs,
			Long: `Write the time down on the encrypted volume, so that the next start begins no earlier
even without a clock that runs through a power cut.`,
			Example: `  stek clock save`,
			RunE:    func(*cobra.Command, []string) error { return clock.Node().Save() }},
	)
	return cmd
}
