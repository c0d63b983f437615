package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/stek-edge/stek/installer/console"
	"github.com/stek-edge/stek/installer/preseed"
	"github.com/stek-edge/stek/installer/tpm"
	"github.com/stek-edge/stek/installer/vault"
)

func (f *keyFlags) addTPMCommand() *cobra.Command {
	var pcrs []int
	var pin bool
	cmd := &cobra.Command{
		Use:   "add-tpm",
		Short: "Seal a key to the TPM, with the values that its PCRs have now",
		Long: `Seal a new key to the TPM, with the values that the named PCRs have now, beside the
keys that are there. On a running node PCR 11, 12 and 15 are not what they are when
the disk is opened: use 'stek key reseal' there.`,
		Example: `  stek key add-tpm --device state.img --pcrs 4,7 --pin`,
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
				return f.seal(cmd.Context(), m, auth, chip, options)
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
				passphrase, err := console.NewSecret{What: "passphrase", Least: vault.MinPassphrase}.From(cmd.Context(), terminal{})
				if err != nil {
					return nil, err
				}
				defer clear(passphrase)
				return m.AddPassphrase(cmd.Context(), auth, passphrase)
			})
		},
	}
}

func (f *keyFlags) resealCommand() *cobra.Command {
	var pin, noPIN bool
	cmd := &cobra.Command{
		Use:   "reseal",
		Short: "Bind the TPM's key anew, before or after the machine changes",
		Long: `Add a TPM key like the newest one, bound to other values. On a running node these are
the ones that this start measured; after a change of the firmware's Secure Boot
variables, such as an update of dbx, the ones that the next start will measure.
Elsewhere they are those that the TPM has now.

The new key is tried first at the next start. The one before it goes when the new one
has opened the disk, not earlier. A PIN is asked for if the newest key has one, or
with --pin; --no-pin makes a key without one.`,
		Example: `  stek key reseal
  stek key reseal --pin
  stek key reseal --device state.img --tpm swtpm:/run/swtpm.sock --key-file recovery.key`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := vault.Inspect(f.device)
			if err != nil {
				return err
			}
			slots := h.TPM2Slots()
			if len(slots) == 0 {
				return errors.New("the volume has no key slot for a TPM to renew; add one with 'stek key add-tpm'")
			}
			chip, err := tpm.Open(f.tpm)
			if err != nil {
				return err
			}
			defer chip.Close()
			policy, words, err := f.renewed(cmd.Context(), chip, slots[0])
			if err != nil {
				return err
			}
			policy.PIN = (slots[0].PIN || pin) && !noPIN
			if newest := slots[0]; newest.SameValues(policy) && newest.PIN == policy.PIN && !pin {
				fmt.Fprintf(cmd.OutOrStdout(), "slot %d is bound to %s already; nothing was changed\n", newest.ID, words)
				return nil
			}
			err = f.change(cmd.Context(), func(m *vault.Manager, auth []byte) (*vault.Slot, error) {
				return f.seal(cmd.Context(), m, auth, chip, vault.TPM2Options{Policy: policy})
			})
			if err == nil {
				fmt.Fprintf(cmd.OutOrStdout(), "the new key is bound to %s; it is tried first at the next start\n", words)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&pin, "pin", false, "ask for a new PIN that each start will ask for")
	cmd.Flags().BoolVar(&noPIN, "no-pin", false, "make a key without a PIN")
	cmd.MarkFlagsMutuallyExclusive("pin", "no-pin")
	return cmd
}

// renewed is the policy of a new key in place of the one in a slot, and what its
// values are.
func (f *keyFlags) renewed(ctx context.Context, chip *tpm.Device, slot *vault.Slot) (tpm.Policy, string, error) {
	if f.node != nil {
		planned, err := f.node.Resealing()
		return planned.Policy, planned.Words, err
	}
	values, err := chip.ReadPCRs(ctx, slot.Sealed().Sealed.PCRs...)
	if err != nil {
		return tpm.Policy{}, "", err
	}
	policy, err := slot.Renewed(values)
	return policy, "what the TPM has measured now", err
}

// seal adds a TPM slot, asking for the PIN where the policy has one.
func (f *keyFlags) seal(ctx context.Context, m *vault.Manager, auth []byte, chip *tpm.Device, o vault.TPM2Options) (*vault.Slot, error) {
	if o.Policy.PIN {
		pin, err := console.NewSecret{What: "PIN", Least: preseed.MinPIN}.From(ctx, terminal{})
		if err != nil {
			return nil, err
		}
		defer clear(pin)
		o.PIN = pin
	}
	return m.AddTPM2(ctx, auth, chip, o)
}
