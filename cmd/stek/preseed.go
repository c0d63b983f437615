package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/stek-edge/stek/installer/preseed"
)

func preseedCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "preseed",
		Short: "Write and check answer files",
		Long: `Write and check answer files: one YAML file a site, with everything that the installer
would ask otherwise. They can be checked on any computer.`,
	}
	cmd.AddCommand(preseedCheckCommand(), preseedExplainCommand(), preseedSchemaCommand())
	return cmd
}

// checkedFile is what --output json tells of one answer file.
type checkedFile struct {
	File   string         `json:"file"`
	Faults preseed.Faults `json:"faults"` // empty for a good file
}

func preseedCheckCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check FILE...",
		Short: "Check answer files and print every fault",
		Long: `Check answer files and print every fault with its file, line and column.

Exit status: 0 all are good, 2 one has a fault or cannot be read.`,
		Example: `  stek preseed check sites/*.yaml`,
		Args:    cobra.MinimumNArgs(1),
	}
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkOutput(*output); err != nil {
			return err
		}
		var all preseed.Faults
		checked := make([]checkedFile, 0, len(args))
		for _, name := range args {
			content, err := os.ReadFile(name)
			if err != nil {
				return usageError{fmt.Errorf("reading the answer file: %w", err)}
			}
			faults := preseed.Faults{}
			if _, err := preseed.Parse(name, content); err != nil && !errors.As(err, &faults) {
				return err
			}
			all = append(all, faults...)
			checked = append(checked, checkedFile{File: name, Faults: faults})
			if *output == "text" && len(faults) == 0 {
				fmt.Fprintf(cmd.OutOrStdout(), "%s: good\n", name)
			}
		}
		if *output == "json" {
			if err := printJSON(cmd.OutOrStdout(), checked); err != nil {
				return err
			}
		}
		if len(all) > 0 {
			return all
		}
		return nil
	}
	return cmd
}

func preseedExplainCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "explain [KEY]",
		Short: "Explain a key of the answer file, or list them",
		Long: `Explain a key of the answer file: what it is for, what it takes, and what it means to
leave it out. Without a key, list all of them.`,
		Example: `  stek preseed explain
  stek preseed explain disk.match.serial`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			key := ""
			if len(args) == 1 {
				key = args[0]
			}
			text, err := preseed.Explain(key)
			if err != nil {
				return usageError{err}
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), text)
			return err
		},
	}
}

func preseedSchemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print a JSON Schema of the answer file, for editors",
		Long: `Print a JSON Schema (draft 2020-12) of the answer file. Editors that know it complete
keys and mark faults while a file is written.`,
		Example: `  stek preseed schema > stek.schema.json`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(preseed.Schema())
			return err
		},
	}
}
