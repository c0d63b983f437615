package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/onbox"
	"github.com/stek-edge/stek/installer/preseed"
)

func preseedCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "preseed",
		Short: "Write and check answer files",
		Long: `Write and check answer files: one YAML file a site, with everything that the installer
would ask otherwise. They can be checked on any computer with Linux.`,
	}
	cmd.AddCommand(preseedInitCommand(), preseedCheckCommand(), preseedExplainCommand(), preseedSchemaCommand())
	return cmd
}

// checkedFile is what --output json tells of one answer file.
type checkedFile struct {
	File    string             `json:"file"`
	Faults  preseed.Faults     `json:"faults"` // empty for a good file
	Boxes   int                `json:"boxes,omitempty"`
	Outlook *installer.Outlook `json:"outlook,omitempty"` // with --machine
}

// checks is what a file is held against.
type checks struct {
	machine *hardware.Inventory
	keys    onbox.Keys
}

func preseedCheckCommand() *cobra.Command {
	var machine, signer, key string
	cmd := &cobra.Command{
		Use:   "check FILE...",
		Short: "Check answer files and print every fault",
		Long: `Check answer files and print every fault with its file, line and column.

With --machine it also prints what the answers mean for a captured machine: the disk
by its serial number and what on it is lost, which card gets which address, and
which ways to unlock the disk the machine really has. Parts that this version of
stek does not carry out are named; only 'stek install' refuses them.

Exit status: 0 all are good, 2 one has a fault, cannot be read or cannot be
installed on the machine.`,
		Example: `  stek preseed check site.yaml
  stek preseed check site.yaml --machine box-7.json
  stek preseed check site.yaml --secrets-key site.key --signed-by minisign.pub`,
		Args: cobra.MinimumNArgs(1),
	}
	cmd.Flags().StringVar(&machine, "machine", "", "a captured machine, see 'stek hardware show --output json'")
	cmd.Flags().StringVar(&key, "secrets-key", "", "an age key file: look every secret up")
	cmd.Flags().StringVar(&signer, "signed-by", "", "a minisign public key: the files must be signed by it")
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkOutput(*output); err != nil {
			return err
		}
		against, err := readChecks(cmd, machine, signer, key)
		if err != nil {
			return err
		}
		var all preseed.Faults
		checked, refused := make([]checkedFile, 0, len(args)), false
		for _, name := range args {
			result, err := checkFile(name, against)
			if err != nil {
				return err
			}
			all, checked = append(all, result.Faults...), append(checked, result)
			refused = refused || result.Outlook != nil && !result.Outlook.Good()
			if *output == "text" {
				if err := printChecked(cmd.OutOrStdout(), result); err != nil {
					return err
				}
			}
		}
		if *output == "json" {
			if err := printJSON(cmd.OutOrStdout(), checked); err != nil {
				return err
			}
		}
		switch {
		case len(all) > 0:
			return all
		case refused:
			return &installer.Refusal{Status: installer.StatusInvalid, Message: "the machine would not be installed by these answers"}
		}
		return nil
	}
	return cmd
}

// readChecks reads what the flags name.
func readChecks(cmd *cobra.Command, machine, signer, key string) (checks, error) {
	var against checks
	if machine != "" {
		inv, err := inventory(cmd, machine)
		if err != nil {
			return checks{}, err
		}
		against.machine = inv
	}
	if signer != "" {
		_, public, err := readSigner(signer)
		if err != nil {
			return checks{}, err
		}
		against.keys.Signer = &public
	}
	if key != "" {
		file, err := os.Open(key)
		if err != nil {
			return checks{}, usageError{err}
		}
		defer file.Close()
		if against.keys.Secrets, err = preseed.KeyFile(file); err != nil {
			return checks{}, usageError{fmt.Errorf("%s: %w", key, err)}
		}
	}
	return against, nil
}

// readSigner reads a minisign public key.
func readSigner(path string) ([]byte, preseed.PublicKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, preseed.PublicKey{}, usageError{err}
	}
	key, err := preseed.ReadPublicKey(text)
	if err != nil {
		return nil, key, usageError{fmt.Errorf("%s: %w", path, err)}
	}
	return text, key, nil
}

// checkFile checks one answer file. Its faults are in the result; an error is one
// of reading.
func checkFile(name string, against checks) (checkedFile, error) {
	result := checkedFile{File: name, Faults: preseed.Faults{}}
	content, err := onbox.ReadSigned(name, name, against.keys)
	if err != nil {
		return result, usageError{err}
	}
	file, err := preseed.Read(name, content)
	if err != nil {
		return result, faultsOf(err, &result)
	}
	result.Boxes = len(file.Boxes())
	if len(against.keys.Secrets) > 0 && file.SecretsFile() != "" {
		beside := filepath.Join(filepath.Dir(name), file.SecretsFile())
		encrypted, err := onbox.ReadSigned(beside, beside, against.keys)
		if err != nil {
			return result, usageError{err}
		}
		values, err := preseed.ReadValues(beside, encrypted, against.keys.Secrets...)
		if err == nil {
			err = file.LookUp(values)
		}
		if err != nil {
			return result, faultsOf(err, &result)
		}
	}
	if against.machine == nil {
		return result, nil
	}
	answers, err := file.For(installer.Machine(against.machine))
	if err != nil {
		return result, faultsOf(err, &result)
	}
	ids, err := disk.NewIDs(rand.Reader)
	if err != nil {
		return result, err
	}
	result.Outlook = installer.Foresee(preseed.Defaults(answers), against.machine, onbox.ThisImage(version), ids)
	return result, nil
}

// faultsOf keeps the faults of a file and returns every other error.
func faultsOf(err error, result *checkedFile) error {
	if errors.As(err, &result.Faults) {
		return nil
	}
	return usageError{err}
}

func printChecked(w io.Writer, result checkedFile) error {
	if len(result.Faults) > 0 {
		return nil // they go to standard error, all together
	}
	boxes := ""
	if result.Boxes > 0 {
		boxes = fmt.Sprintf(", %d boxes", result.Boxes)
	}
	fmt.Fprintf(w, "%s: good%s\n", result.File, boxes)
	if result.Outlook == nil {
		return nil
	}
	return installer.WriteOutlook(w, result.Outlook)
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
keys and mark faults while a file is written; a file names it in its first line:

  # yaml-language-server: $schema=stek.schema.json`,
		Example: `  stek preseed schema > stek.schema.json`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(preseed.Schema())
			return err
		},
	}
}
