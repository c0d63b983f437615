package stage1

import (
	"context"
	"crypto"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/stek-edge/stek/firmware/secureboot"
	"github.com/stek-edge/stek/firmware/uki"
	"github.com/stek-edge/stek/installer/tpm"
	"github.com/stek-edge/stek/installer/vault"
)

// UnlockFile is where stage1 leaves how the volume was opened, for the services
// that bind the keys and for `stek node status`. It holds no secret.
const UnlockFile = "/run/stek/unlock.json"

// Unlocked is how the volume was opened at this start.
type Unlocked struct {
	vault.Opened
	Device     string   `json:"device"`           // partition of the volume
	Tried      []string `json:"tried,omitempty"`  // what had failed before
	PCRs       tpm.PCRs `json:"pcrs,omitempty"`   // vault.BoundPCRs while the volume could be opened
	SecureBoot bool     `json:"secure-boot"`      // at this start
	Signer     string   `json:"signer,omitempty"` // PEM of the key that signed the UKI's PCR 11
	Known      Known    `json:"identity"`         // what the TPM knows of the volume
	Identity   []byte   `json:"volume,omitempty"` // of the volume, which tells nothing about its key
}

// Known is what the TPM knows of the volume that was opened.
type Known string

// A volume that is another than the TPM knows is never mounted.
const (
	KnownMatched Known = "matched"
	KnownMissing Known = "missing" // the TPM knows of no volume: it was cleared, or is another
	KnownNoTPM   Known = "no tpm"
)

// FinalPolicy is what this start binds a key to.
func (u *Unlocked) FinalPolicy() (tpm.Policy, error) {
	var signer *rsa.PublicKey
	if u.Signer != "" {
		var err error
		if signer, err = uki.ParsePCRPublicKey([]byte(u.Signer)); err != nil {
			return tpm.Policy{}, fmt.Errorf("reading the PCR key of the UKI: %w", err)
		}
	}
	return vault.FinalPolicy(u.PCRs, u.SecureBoot, signer)
}

// systemSlot is the root slot that this kernel belongs to. Only the first is used as yet.
const systemSlot = "a"

// Where systemd-stub puts the PCR signature that the UKI carries, and its key.
const (
	signatureFile = "/.extra/tpm2-pcr-signature.json"
	signerFile    = "/.extra/tpm2-pcr-public-key.pem"
)

// prepareState opens the volume of a node. An installer has nothing to open.
func (s *stage1) prepareState(ctx context.Context) error {
	if !s.isNode() {
		return nil
	}
	found := Unlocked{Device: s.disk.State}
	if s.chip != nil {
		var err error
		var noBank *tpm.NoBankError
		found.PCRs, err = s.chip.ReadPCRs(ctx, vault.BoundPCRs...)
		if err != nil && !errors.As(err, &noBank) { // with that one, a person still has a key
			return fmt.Errorf("reading the PCRs: %w", err)
		}
	}
	if firmware, err := secureboot.ReadState(efivars); err == nil {
		found.SecureBoot = firmware.SecureBoot
	}
	if signer, err := os.ReadFile(signerFile); err == nil {
		found.Signer = string(signer)
	}
	header, err := vault.Inspect(s.disk.State)
	if err != nil {
		return err
	}
	volume, err := s.unlock(ctx, header)
	if err != nil {
		return err
	}
	defer volume.Close()
	s.line.mark("volume opened")
	found.Opened = volume.OpenedBy(systemSlot)
	s.console.Say("volume opened by %s (slot %d)", found.Kind, found.Slot)
	for _, o := range volume.Outcomes {
		found.Tried = append(found.Tried, o.String())
	}
	if found.Known, err = s.checkIdentity(ctx, volume); err != nil {
		return err
	}
	identity, err := volume.Identity(crypto.SHA256)
	if err != nil {
		return err
	}
	found.Identity = identity[crypto.SHA256]
	if err := s.sealAgain(ctx, header, volume, &found); err != nil {
		s.console.Say("the key was not bound to this machine: %v", err) // the box runs, and says so in its status
	}
	if s.node, err = volume.Map(); err != nil {
		return err
	}
	if _, err := mapperNode(vault.MapName); err != nil {
		return err
	}
	b, err := json.Marshal(found)
	if err != nil {
		return err
	}
	return os.WriteFile(UnlockFile, append(b, '\n'), 0o644)
}

// unlock tries what needs no more than the machine, and what the answer file chose;
// when that fails it closes the TPM's door, says what failed and asks for the
// recovery key. A box at which nobody answers restarts: what failed may have been
// passing.
func (s *stage1) unlock(ctx context.Context, header *vault.Header) (*vault.Volume, error) {
	methods := map[vault.Kind]vault.Method{}
	for _, kind := range header.Order() {
		switch kind {
		case vault.KindTPM2:
			methods[kind] = s.byTPM()
		case vault.KindPassphrase:
			methods[kind] = vault.ByTyping{Ask: s.asker("Passphrase, or recovery key:"), Tries: 3}
		}
	}
	volume, err := header.Unlock(ctx, header.Arrange(methods)...)
	var locked *vault.LockedError
	if err == nil || !errors.As(err, &locked) {
		return volume, err
	}
	if err := s.capPCRs(ctx); err != nil {
		return nil, err
	}
	s.console.Say("\nThe disk of this box did not open by itself.")
	for _, line := range locked.Report() {
		s.console.Say("%s", line)
	}
	s.console.Say("Type the recovery key that was made when the box was installed (eight groups of eight letters).")
	s.line.mark("asking for the recovery key")
	ctx, cancel := context.WithTimeout(ctx, waitForPerson)
	defer cancel()
	return header.Unlock(ctx, vault.ByTyping{Ask: s.asker("Recovery key:")})
}

func remedyOf(err error) string {
	var r interface{ Remedy() string }
	if errors.As(err, &r) {
		return r.Remedy()
	}
	return ""
}

// byTPM is the method that needs nobody, or a person with a PIN. Without a TPM it is a
// method that says so, not one that is left out: a box that cannot find its TPM must say
// it. Nobody is asked then for a PIN that could open nothing.
func (s *stage1) byTPM() vault.Method {
	m := vault.ByTPM{Unsealer: noTPM{s.failed}, PIN: func(context.Context, int) ([]byte, error) { return nil, nil }}
	if s.chip != nil {
		m.Unsealer, m.PIN = s.chip, s.asker("PIN of this box:")
	}
	if b, err := os.ReadFile(signatureFile); err == nil {
		sig, err := tpm.ParseSignatureFile(b)
		if err != nil {
			s.console.Say("the PCR signature of this image cannot be read: %v", err)
		}
		m.Signature = sig
	}
	return m
}

// noTPM stands for the chip that is not there, or has failed.
type noTPM struct{ failed *tpm.FailedError }

func (n noTPM) Unseal(context.Context, *tpm.Sealed, *tpm.SignatureFile, []byte) ([]byte, error) {
	if n.failed != nil {
		return nil, n.failed
	}
	return nil, &tpm.NoDeviceError{Spec: tpmDevice, Err: os.ErrNotExist}
}

func (s *stage1) asker(question string) vault.Ask {
	return func(ctx context.Context, try int) ([]byte, error) {
		if try > 0 {
			s.console.Say("That did not open the disk.")
		}
		ctx, cancel := context.WithTimeout(ctx, waitForPerson)
		defer cancel()
		answer, err := s.console.Ask(ctx, question)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", vault.ErrGivenUp, err)
		}
		return answer, nil
	}
}

// checkIdentity measures which volume was opened and compares it with the one that
// this box's TPM knows. A volume put in place of the first is refused, whatever
// opened it; a TPM that knows none (cleared, or of another box) cannot tell, which
// only a person with the recovery key gets past, since it cannot unseal either.
func (s *stage1) checkIdentity(ctx context.Context, volume *vault.Volume) (Known, error) {
	if s.chip == nil {
		return KnownNoTPM, nil
	}
	if err := s.chip.ExtendDigests(ctx, pcrSystem, volume.Measurement); err != nil {
		return "", fmt.Errorf("measuring which volume was opened: %w", err)
	}
	s.volumeMeasured = true
	kept, err := s.chip.ReadIdentity(ctx, tpm.IdentityIndex)
	switch {
	case errors.Is(err, tpm.ErrNoIdentity):
		s.console.Say("the TPM does not know which volume belongs to this box")
		return KnownMissing, nil
	case err != nil:
		return "", fmt.Errorf("reading which volume belongs to this box: %w", err)
	}
	return KnownMatched, volume.CheckIdentity(kept)
}
