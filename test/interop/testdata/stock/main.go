// Command stock runs in a virtual box with a Debian system on the disk "system". It makes
// a volume on each other disk, seals its key as the disk's name says, and opens it with
// the system's own tools. The key that signs PCR policies comes on standard input.
package main

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/stek-edge/stek/installer/tpm"
	"github.com/stek-edge/stek/installer/vault"
	"github.com/stek-edge/stek/test/debian"
	"github.com/stek-edge/stek/test/guest/inside"
)

const (
	device = "/dev/tpmrm0"
	pin    = "kas 7 ß"
	wait   = 30 * time.Second
)

func main() {
	if err := work(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func work(ctx context.Context) error {
	der, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	signer, err := x509.ParsePKCS1PrivateKey(der)
	if err != nil {
		return err
	}
	if err := debian.Enter("system", wait); err != nil {
		return err
	}
	if err := inside.WaitFile(device, wait); err != nil {
		return err
	}
	chip, err := tpm.Open(device)
	if err != nil {
		return err
	}
	seen, err := start(ctx, chip, signer)
	if err != nil {
		return err
	}
	var faults []error
	for name, policy := range map[string]func() (tpm.Policy, error){
		"PCR":           func() (tpm.Policy, error) { return vault.FinalPolicy(seen, false, nil) },
		"PIN":           func() (tpm.Policy, error) { return tpm.Policy{Literal: tpm.PCRs{7: seen[7]}, PIN: true}, nil },
		"signed-policy": func() (tpm.Policy, error) { return vault.SignedPolicy(&signer.PublicKey, seen[7]), nil },
		"signed-policy-and-PIN": func() (tpm.Policy, error) {
			p := vault.SignedPolicy(&signer.PublicKey, seen[7])
			p.PIN = true
			return p, nil
		},
	} {
		p, err := policy()
		if err == nil {
			err = volume(ctx, chip, name, p)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(faults...)
}

// start measures a start in place of the firmware, and leaves the signature of its PCR 11
// where the stub's would lie on a started system (systemd-cryptsetup(8)).
func start(ctx context.Context, chip *tpm.Device, signer *rsa.PrivateKey) (tpm.PCRs, error) {
	for pcr, words := range map[int][]string{4: {"loader"}, 7: {"secure boot"}, 11: {"UKI", "enter-initrd"}} {
		for _, word := range words {
			if err := chip.Extend(ctx, pcr, []byte(word)); err != nil {
				return nil, err
			}
		}
	}
	seen, err := chip.ReadPCRs(ctx, vault.BoundPCRs...)
	if err != nil {
		return nil, err
	}
	f := &tpm.SignatureFile{}
	if err := f.Sign(signer, tpm.PCRs{11: seen[11]}); err != nil {
		return nil, err
	}
	signed, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(&signer.PublicKey)
	if err != nil {
		return nil, err
	}
	const dir = debian.Mounted + "/run/systemd"
	return seen, errors.Join(os.MkdirAll(dir, 0o755),
		os.WriteFile(dir+"/tpm2-pcr-signature.json", signed, 0o644),
		os.WriteFile(dir+"/tpm2-pcr-public-key.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o644))
}

// stock are the system's programs.
var stock = debian.Programs{Env: []string{"PIN=" + pin}}

// volume makes a volume on the disk of that name and opens it in three ways.
func volume(ctx context.Context, chip *tpm.Device, name string, policy tpm.Policy) error {
	disk, err := inside.DiskBySerial(name[:min(len(name), 20)], wait) // virtio serials have 20 bytes
	if err != nil {
		return err
	}
	m := &vault.Manager{Device: disk, Runner: stock}
	key := vault.NewRecoveryKey()
	if err := m.Format(ctx, vault.FormatOptions{Recovery: key, Order: []vault.Kind{vault.KindTPM2}}); err != nil {
		return err
	}
	o := vault.TPM2Options{Policy: policy}
	if policy.PIN {
		o.PIN = []byte(pin)
	}
	if _, err := m.AddTPM2(ctx, []byte(key.Reveal()), chip, o); err != nil {
		return err
	}
	open := "tpm2-device=auto,headless=yes,tries=1"
	var faults []error
	for _, way := range []struct {
		name, stdin string
		words       []string
	}{
		{"token", pin + "\n", []string{"cryptsetup", "open", "--token-only", "--token-type", "systemd-tpm2", disk, "tried"}},
		{"attach", "", []string{"systemd-cryptsetup", "attach", "tried", disk, "-", open}},
		{"recovery", key.Reveal() + "\n", []string{"cryptsetup", "open", disk, "tried"}},
	} {
		_, err := stock.Run(ctx, vault.Command{Name: way.words[0], Args: way.words[1:], Stdin: []byte(way.stdin)})
		if err == nil {
			_, err = os.Stat("/dev/mapper/tried")
		}
		if err == nil {
			_, err = stock.Run(ctx, vault.Command{Name: "cryptsetup", Args: []string{"close", "tried"}})
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("by %s: %w", way.name, err))
			continue
		}
		fmt.Printf("%s by %s: opened\n", name, way.name)
	}
	return errors.Join(faults...)
}
