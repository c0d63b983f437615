package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/stek-edge/stek/installer/hardware"
)

func hardwareCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "hardware",
		Short: "Look at this machine",
		Long: `Look at this machine as the installer does. Whatever is decided about a machine is
decided from what is printed here.`,
	}
	cmd.AddCommand(hardwareShowCommand())
	return cmd
}

func hardwareShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print the board, firmware, TPM, disks and network cards",
		Long: `Print what this machine is made of. Nothing is changed and nothing is sent anywhere.

With --output json the result can be kept in a file and planned for on another
machine: stek install --preseed FILE --dry-run --machine FILE.`,
		Example: `  stek hardware show
  stek hardware show --output json > box.json`,
		Args: cobra.NoArgs,
	}
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(*output); err != nil {
			return err
		}
		inv, err := hardware.Look(cmd.Context(), hardware.Host())
		if err != nil {
			return err
		}
		if *output == "json" {
			return hardware.Save(cmd.OutOrStdout(), inv)
		}
		return hardware.WriteText(cmd.OutOrStdout(), inv)
	}
	return cmd
}

// inventory looks at this machine, or reads a captured one.
func inventory(cmd *cobra.Command, captured string) (*hardware.Inventory, error) {
	if captured == "" {
		return hardware.Look(cmd.Context(), hardware.Host())
	}
	f, err := os.Open(captured)
	if err != nil {
		return nil, usageError{err}
	}
	defer f.Close()
	inv, err := hardware.Load(f)
	if err != nil {
		return nil, usageError{err}
	}
	return inv, nil
}
