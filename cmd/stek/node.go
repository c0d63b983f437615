package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/stek-edge/stek/installer/console"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/node"
)

const (
	efivars   = "/sys/firmware/efi/efivars"
	tpmDevice = "/dev/tpmrm0"
)

func nodeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "node",
		Short: "Look after an installed node",
	}
	cmd.AddCommand(nodeStatusCommand(), nodeSettleCommand(), nodeBlessCommand(), nodeAnnounceCommand())
	return cmd
}

func nodeStatusCommand() *cobra.Command {
	var output *string
	cmd := nodeAction("status", "Print how this node is, how it started and what it is protected against",
		func(cmd *cobra.Command, facts *node.Facts, fw node.Firmware) error {
			if err := checkOutput(*output); err != nil {
				return err
			}
			status := facts.Status(cmd.Context(), fw)
			if *output == "json" {
				return printJSON(cmd.OutOrStdout(), status)
			}
			return status.WriteText(cmd.OutOrStdout())
		})
	output = outputFlag(cmd)
	return cmd
}

func nodeSettleCommand() *cobra.Command {
	return nodeAction("settle", "Bind the keys to this machine, where that is due (run at each start)",
		func(cmd *cobra.Command, facts *node.Facts, _ node.Firmware) error {
			done, err := node.Settle(cmd.Context(), facts, tpmDevice)
			for _, d := range done {
				fmt.Fprintln(cmd.OutOrStdout(), d)
			}
			return err
		})
}

func nodeBlessCommand() *cobra.Command {
	return nodeAction("bless", "Keep the system that has started (run when it is up)",
		func(_ *cobra.Command, facts *node.Facts, _ node.Firmware) error { return facts.Bless(efivars) })
}

func nodeAnnounceCommand() *cobra.Command {
	return nodeAction("announce", "Wait until the node is ready and tell it on every console",
		func(cmd *cobra.Command, facts *node.Facts, fw node.Firmware) error {
			return node.Announce(cmd.Context(), facts, fw, console.Open())
		})
}

// nodeAction is a command that needs to know the node that it runs on.
func nodeAction(name, short string, do func(*cobra.Command, *node.Facts, node.Firmware) error) *cobra.Command {
	return &cobra.Command{
		Use: name, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			facts, err := node.Look()
			if err != nil {
				return err
			}
			inv, err := hardware.Look(cmd.Context(), hardware.Host())
			if err != nil {
				return err
			}
			return do(cmd, facts, node.Firmware{SecureBoot: inv.Firmware.SecureBoot, SetupMode: inv.Firmware.SetupMode})
		},
	}
}
