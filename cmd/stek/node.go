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
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Print how this node is, how it started and what it is protected against",
		Args:  cobra.NoArgs,
	}
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(*output); err != nil {
			return err
		}
		facts, err := node.Look()
		if err != nil {
			return err
		}
		fw, err := firmware(cmd)
		if err != nil {
			return err
		}
		status := facts.Status(cmd.Context(), fw)
		if *output == "json" {
			return printJSON(cmd.OutOrStdout(), status)
		}
		return status.WriteText(cmd.OutOrStdout())
	}
	return cmd
}

func firmware(cmd *cobra.Command) (node.Firmware, error) {
	inv, err := hardware.Look(cmd.Context(), hardware.Host())
	if err != nil {
		return node.Firmware{}, err
	}
	return node.Firmware{SecureBoot: inv.Firmware.SecureBoot, SetupMode: inv.Firmware.SetupMode}, nil
}

func nodeSettleCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "settle",
		Short: "Bind the keys to this machine, where that is due (run at each start)",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			facts, err := node.Look()
			if err != nil {
				return err
			}
			fw, err := firmware(cmd)
			if err != nil {
				return err
			}
			done, err := node.Settle(cmd.Context(), facts, fw.SecureBoot, tpmDevice)
			for _, d := range done {
				fmt.Fprintln(cmd.OutOrStdout(), d)
			}
			return err
		},
	}
}

func nodeBlessCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "bless",
		Short: "Keep the system that has started (run when it is up)",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			facts, err := node.Look()
			if err != nil {
				return err
			}
			return facts.Bless(efivars)
		},
	}
}

func nodeAnnounceCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "announce",
		Short: "Wait until the node is ready and tell it on every console",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			facts, err := node.Look()
			if err != nil {
				return err
			}
			fw, err := firmware(cmd)
			if err != nil {
				return err
			}
			return node.Announce(cmd.Context(), facts, fw, console.Open())
		},
	}
}
