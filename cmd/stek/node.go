package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/stek-edge/stek/installer/console"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/node"
	"github.com/stek-edge/stek/installer/stage1"
)

const (
	efivars   = "/sys/firmware/efi/efivars"
	tpmDevice = "/dev/tpmrm0"
)

func nodeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "node",
		Short: "Look after an installed node",
		Long: `Look after the installed node that this runs on. All but status are run by the node
itself, at each start.`,
	}
	cmd.AddCommand(nodeStatusCommand(), nodeSettleCommand(), nodeBlessCommand(), nodeAnnounceCommand(), nodeCloseTPMCommand())
	return cmd
}

func nodeStatusCommand() *cobra.Command {
	var output *string
	cmd := nodeAction("status", "Print how this node is, how it started and what it is protected against",
		`Print how this node is: its cluster and pods, what opened its disk, the key slots, what
it is and is not protected against, and how long each part of the start took.`,
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
		`Bind the keys in the TPM to what was measured when this node started from its disk, and
remove the ones that a new binding has replaced. A key goes only after its successor
has opened the disk. Doing it again does nothing.`,
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
		`Tell the boot loader that the system that has started is good, so that it stops
counting the tries of it.`,
		func(_ *cobra.Command, facts *node.Facts, _ node.Firmware) error { return facts.Bless(efivars) })
}

func nodeAnnounceCommand() *cobra.Command {
	return nodeAction("announce", "Wait until the node is ready and tell it on every console",
		`Wait until the node and its pods are ready, and say so, with the node's status, on the
screen and on every serial line. Until then, say there what is waited for.`,
		func(cmd *cobra.Command, facts *node.Facts, fw node.Firmware) error {
			return node.Announce(cmd.Context(), facts, fw, console.Open())
		})
}

// nodeCloseTPMCommand is for the installer too, which is no node.
func nodeCloseTPMCommand() *cobra.Command {
	return &cobra.Command{
		Use: "close-tpm [DEVICE]", Short: "Close a TPM that came late (run when it appears)",
		Long: `Measure into the TPM that the start of this system is over, so that it gives away no key
of the disk. stage1 does this at each start to every TPM; here it is done for one that
appeared after stage1 had gone. It lasts until the machine starts again. DEVICE is
` + tpmDevice + ` where none is named.`,
		Args:    cobra.MaximumNArgs(1),
		Example: "  stek node close-tpm\n  stek node close-tpm /dev/tpmrm1",
		RunE: func(cmd *cobra.Command, args []string) error {
			device := tpmDevice
			if len(args) > 0 {
				device = args[0]
			}
			return stage1.CloseTPM(cmd.Context(), device, stage1.TPMClosedDir)
		},
	}
}

// nodeAction is a command that needs to know the node that it runs on.
func nodeAction(name, short, long string, do func(*cobra.Command, *node.Facts, node.Firmware) error) *cobra.Command {
	return &cobra.Command{
		Use: name, Short: short, Long: long, Args: cobra.NoArgs,
		Example: "  stek node " + name,
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
