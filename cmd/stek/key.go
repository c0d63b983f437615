package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/stek-edge/stek/installer/tpm"
	"github.com/stek-edge/stek/installer/vault"
)

// keyFlags are what every key command takes.
type keyFlags struct {
	device, tpm, keyFile string
}

func keyCommand() *cobra.Command {
	var f keyFlags
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Look after the keys of an encrypted volume",
		Long: `Look after the key slots of an encrypted volume: a device, or an image file.

A change needs a key that opens the volume already. On a running node that is the
maintenance key, which is found by itself; elsewhere it is asked for, or read from
--key-file.`,
	}
	cmd.PersistentFlags().StringVar(&f.device, "device", "", "the volume: a partition or an image file")
	cmd.PersistentFlags().StringVar(&f.tpm, "tpm", tpmDevice, "the TPM: a device, or swtpm:SOCKET")
	cmd.PersistentFlags().StringVar(&f.keyFile, "key-file", "", "a file with a key that opens the volume")
	cmd.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		if f.device == "" && c != cmd {
			return usageError{errors.New("name the volume with --device DEVICE")}
		}
		return nil
	}
	cmd.AddCommand(f.listCommand(), f.testCommand(), f.addTPMCommand(), f.addRecoveryCommand(), f.addPassphraseCommand(), f.removeCommand())
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

func (f *keyFlags) addTPMCommand() *cobra.Command {
	var pcrs []int
	var pin bool
	cmd := &cobra.Command{
		Use:   "add-tpm",
		Short: "Seal a key to the TPM, with the values that its PCRs have now",
		Long: `Seal a new key to the TPM, with the values that the named PCRs have now, beside the
keys that are there. On a running node PCR 11, 12 and 15 are not what they are when
the disk is opened: there 'stek node settle' binds the key to what was seen then.`,
		Example: `  stek key add-tpm --device /dev/nvme0n1p4 --pcrs 4,7 --pin`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.change(cmd.Context(), func(m *vault.Manager, auth []byte) (*vault.Slot, error) {
				chip, err := tpm.Open(f.tpm)
				if err != nil {
					return nil, err
				}
				defer chip.Close()
				values, err := chip.ReadPCRs(cmd.Context(), pcrs...)
				if err != nil {
					return nil, err
				}
				options := vault.TPM2Options{Policy: tpm.Policy{Literal: values, PIN: pin}}
				if pin {
					if options.PIN, err = askTwice("PIN"); err != nil {
						return nil, err
					}
				}
				return m.AddTPM2(cmd.Context(), auth, chip, options)
			})
		},
	}
	cmd.Flags().IntSliceVar(&pcrs, "pcrs", []int{7}, "the PCRs to seal to")
	cmd.Flags().BoolVar(&pin, "pin", false, "ask for a PIN that each start will ask for")
	return cmd
}

func (f *keyFlags) addRecoveryCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "add-recovery",
		Short: "Make another recovery key and print it once",
		Long: `Make another recovery key and print it, once: it is kept nowhere. Write it down, see
that it opens the volume, and remove the old slot with 'stek key remove'.`,
		Example: `  stek key add-recovery --device /dev/nvme0n1p4`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			key := vault.NewRecoveryKey()
			err := f.change(cmd.Context(), func(m *vault.Manager, auth []byte) (*vault.Slot, error) {
				return m.AddRecovery(cmd.Context(), auth, key)
			})
			if err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), key.Reveal())
			}
			return err
		},
	}
}

func (f *keyFlags) addPassphraseCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "add-passphrase",
		Short: "Add a passphrase that a person types",
		Long: `Add a passphrase that a person types when the node starts. It is asked for twice; from
a pipe, it is read as two equal lines.`,
		Example: `  stek key add-passphrase --device /dev/nvme0n1p4`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.change(cmd.Context(), func(m *vault.Manager, auth []byte) (*vault.Slot, error) {
				passphrase, err := askTwice("passphrase")
				if err != nil {
					return nil, err
				}
				return m.AddPassphrase(cmd.Context(), auth, passphrase)
			})
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
			return m.Remove(cmd.Context(), slot, force)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "even if it is the last recovery key, or the last way in")
	return cmd
}

// change runs one change with a key that opens the volume and says which slot came.
func (f *keyFlags) change(ctx context.Context, do func(m *vault.Manager, auth []byte) (*vault.Slot, error)) error {
	auth, err := f.auth(ctx)
	if err != nil {
		return err
	}
	defer clear(auth)
	slot, err := do(&vault.Manager{Device: f.device}, auth)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "slot %d is added\n", slot.ID)
	return nil
}

// maintenanceKey is where a running node keeps the key that changes slots.
const maintenanceKey = "/state/stek/maintenance.key"

func (f *keyFlags) auth(context.Context) ([]byte, error) {
	for _, path := range []string{f.keyFile, maintenanceKey} {
		if path == "" {
			continue
		}
		b, err := os.ReadFile(path)
		if err == nil {
			return b, nil
		}
		if path == f.keyFile || !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("reading the key file: %w", err)
		}
	}
	typed, err := ask("A key that opens the volume (recovery key or passphrase): ")
	if err != nil {
		return nil, err
	}
	if key, err := vault.ParseRecoveryKey(string(typed)); err == nil {
		return []byte(key.Reveal()), nil
	}
	return typed, nil
}

// ask reads one line without showing it; from a pipe it is read as it is.
func ask(question string) ([]byte, error) {
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		var line strings.Builder
		b := make([]byte, 1)
		for {
			n, err := os.Stdin.Read(b)
			if n == 0 || err != nil || b[0] == '\n' {
				break
			}
			line.WriteByte(b[0])
		}
		if line.Len() == 0 {
			return nil, errors.New("nothing was typed")
		}
		return []byte(line.String()), nil
	}
	fmt.Fprint(os.Stderr, question)
	typed, err := term.ReadPassword(int(os.Stdin.Fd()))
	fmt.Fprintln(os.Stderr)
	return typed, err
}

func askTwice(what string) ([]byte, error) {
	first, err := ask("New " + what + ": ")
	if err != nil {
		return nil, err
	}
	second, err := ask("The same again: ")
	if err != nil {
		return nil, err
	}
	if string(first) != string(second) {
		return nil, errors.New("the two were not the same")
	}
	return first, nil
}
