package main

import (
	"errors"
	"fmt"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/stek-edge/stek/installer/node"
	"github.com/stek-edge/stek/installer/tpm"
	"github.com/stek-edge/stek/installer/vault"
)

// keyFlags are what every key command takes.
type keyFlags struct {
	device, tpm, keyFile string
	node                 *node.Facts // of this machine, if the volume is its own
}

func keyCommand() *cobra.Command {
	var f keyFlags
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Look after the keys of an encrypted volume",
		Long: `Look after the key slots of an encrypted volume: a device, or an image file.

A change needs a key that opens the volume already. On a running node that is the
maintenance key, which is found by itself, as the node's own volume is; elsewhere the
key is asked for, or read from --key-file.`,
	}
	cmd.PersistentFlags().StringVar(&f.device, "device", "", "the volume: a partition or an image file (default: the node's own)")
	cmd.PersistentFlags().StringVar(&f.tpm, "tpm", tpmDevice, "the TPM: a device, or swtpm:SOCKET")
	cmd.PersistentFlags().StringVar(&f.keyFile, "key-file", "", "a file with a key that opens the volume")
	cmd.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		return f.find(c != cmd)
	}
	cmd.AddCommand(f.listCommand(), f.testCommand(), f.addTPMCommand(), f.addRecoveryCommand(), f.addPassphraseCommand(), f.resealCommand(), f.removeCommand())
	return cmd
}

func (f *keyFlags) listCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the key slots and what opens them",
		Long: `List the key slots of the volume, what opens each and what state it is in. The header
is read as it is; no key is needed.`,
		Example: `  stek key list --device /dev/nvme0n1p4`,
		Args:    cobra.NoArgs,
	}
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(*output); err != nil {
			return err
		}
		h, err := vault.Inspect(f.device)
		if err != nil {
			return err
		}
		if *output == "json" {
			return printJSON(cmd.OutOrStdout(), h.Slots)
		}
		w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "SLOT\tOPENED BY\tSTATE\tNOTE")
		for _, s := range h.Slots {
			note := ""
			if s.Problem != nil {
				note = s.Problem.Error()
			}
			fmt.Fprintf(w, "%d\t%s\t%s\t%s\n", s.ID, s.Kind, s.State, note)
		}
		return w.Flush()
	}
	return cmd
}

func (f *keyFlags) testCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "test",
		Short: "Check that the TPM still knows its keys",
		Long: `Check that the TPM still knows the keys that are sealed to it. On a running node
nothing can be unsealed, so the keys are loaded and their policy is looked at; that
a key opens the disk is proved at each start.`,
		Example: `  stek key test --device /dev/nvme0n1p4`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := vault.Inspect(f.device)
			if err != nil {
				return err
			}
			chip, err := tpm.Open(f.tpm)
			if err != nil {
				return err
			}
			defer chip.Close()
			slots := h.TPM2Slots()
			if len(slots) == 0 {
				return errors.New("the volume has no key slot for a TPM; add one with 'stek key add-tpm'")
			}
			var faults []error
			for _, s := range slots {
				if err := chip.Check(cmd.Context(), &s.Sealed().Sealed, nil); err != nil {
					faults = append(faults, fmt.Errorf("slot %d: %w", s.ID, err))
					continue
				}
				fmt.Fprintf(cmd.OutOrStdout(), "slot %d: the TPM knows this key\n", s.ID)
			}
			return errors.Join(faults...)
		},
	}
}

func (f *keyFlags) removeCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "remove SLOT",
		Short: "Remove a key slot",
		Long: `Remove a key slot; 'stek key list' has their numbers. What the slot's key opened, it
opens no more, except with an old copy of the header. The last recovery key and the last
way into the volume go only with --force.`,
		Example: `  stek key remove 3 --device /dev/nvme0n1p4`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			slot, err := strconv.Atoi(args[0])
			if err != nil {
				return usageError{fmt.Errorf("%q is not the number of a slot", args[0])}
			}
			m := &vault.Manager{Device: f.device}
			if err := m.Remove(cmd.Context(), slot, force); err != nil {
				return err
			}
			return f.changed(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "even if it is the last recovery key, or the last way in")
	return cmd
}
