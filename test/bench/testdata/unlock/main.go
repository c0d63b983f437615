// Command unlock runs in a virtual box with a Debian system on the disk "system". It makes
// a volume on the disk "state", seals its key to the box's TPM by a signed policy, and
// opens it by turns with systemd-cryptsetup and as the first process of a box does, each
// as a process of its own. For every opening it prints who opened and the nanoseconds.
package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/stek-edge/stek/installer/tpm"
	"github.com/stek-edge/stek/installer/vault"
	"github.com/stek-edge/stek/test/debian"
	"github.com/stek-edge/stek/test/guest/inside"
)

const (
	device    = "/dev/tpmrm0"
	signature = "/run/systemd/tpm2-pcr-signature.json" // where systemd-cryptsetup(8) looks for it
	wait      = 30 * time.Second
)

func main() {
	ctx := context.Background()
	var err error
	switch {
	case len(os.Args) == 3 && os.Args[1] == "open":
		err = open(ctx, os.Args[2])
	case len(os.Args) == 2:
		err = measure(ctx, os.Args[1])
	default:
		err = errors.New("say how many rounds")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, rounds string) error {
	n, err := strconv.Atoi(rounds)
	if err != nil {
		return err
	}
	if err := debian.Enter("system", wait); err != nil {
		return err
	}
	if err := inside.WaitFile(device, wait); err != nil {
		return err
	}
	disk, err := inside.DiskBySerial("state", wait)
	if err != nil {
		return err
	}
	if err := enrol(ctx, disk); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	stock := exec.CommandContext(ctx, "/usr/bin/systemd-cryptsetup", "attach", vault.MapName, disk, "-", "tpm2-device=auto,headless=yes,tries=1")
	for range n {
		for _, side := range []struct {
			name string
			run  func() error
		}{
			{"systemd", func() error {
				_, err := debian.Programs{}.Run(ctx, vault.Command{Name: filepath.Base(stock.Path), Args: stock.Args[1:]})
				return err
			}},
			{"stek", func() error {
				out, err := exec.CommandContext(ctx, self, "open", disk).CombinedOutput()
				if err != nil {
					return fmt.Errorf("%w: %s", err, out)
				}
				return nil
			}},
		} {
			started := time.Now()
			if err := side.run(); err != nil {
				return fmt.Errorf("opening by %s: %w", side.name, err)
			}
			took := time.Since(started)
			if _, err := (debian.Programs{}).Run(ctx, vault.Command{Name: "cryptsetup", Args: []string{"close", vault.MapName}}); err != nil {
				return err
			}
			fmt.Println(side.name, took.Nanoseconds())
		}
	}
	return nil
}

// enrol measures a start in place of the firmware, makes the volume and seals its key.
func enrol(ctx context.Context, disk string) error {
	chip, err := tpm.Open(device)
	if err != nil {
		return err
	}
	defer chip.Close()
	for pcr, words := range map[int][]string{7: {"secure boot"}, 11: {"UKI", "enter-initrd"}} {
		for _, word := range words {
			if err := chip.Extend(ctx, pcr, []byte(word)); err != nil {
				return err
			}
		}
	}
	seen, err := chip.ReadPCRs(ctx, 7, 11)
	if err != nil {
		return err
	}
	signer, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	f := &tpm.SignatureFile{}
	if err := f.Sign(signer, tpm.PCRs{11: seen[11]}); err != nil {
		return err
	}
	signed, err := json.Marshal(f)
	if err != nil {
		return err
	}
	if err := errors.Join(os.MkdirAll(filepath.Dir(signature), 0o755), os.WriteFile(signature, signed, 0o644)); err != nil {
		return err
	}
	m, key := &vault.Manager{Device: disk, Runner: debian.Programs{}}, vault.NewRecoveryKey()
	if err := m.Format(ctx, vault.FormatOptions{Recovery: key, Order: []vault.Kind{vault.KindTPM2}}); err != nil {
		return err
	}
	_, err = m.AddTPM2(ctx, []byte(key.Reveal()), chip, vault.TPM2Options{Policy: vault.SignedPolicy(&signer.PublicKey, seen[7])})
	return err
}

// open is what the first process of a box does between the disk and the mapped device.
func open(ctx context.Context, disk string) error {
	chip, err := tpm.Open(device)
	if err != nil {
		return err
	}
	defer chip.Close()
	signed, err := os.ReadFile(signature)
	if err != nil {
		return err
	}
	f, err := tpm.ParseSignatureFile(signed)
	if err != nil {
		return err
	}
	header, err := vault.Inspect(disk)
	if err != nil {
		return err
	}
	volume, err := header.Unlock(ctx, vault.ByTPM{Unsealer: chip, Signature: f})
	if err != nil {
		return err
	}
	defer volume.Close()
	_, err = volume.Map()
	return err
}
