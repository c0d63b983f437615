package tpm

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"

	"github.com/google/go-tpm/tpm2"
)

// Rehearse finds out whether this TPM can be enrolled: whether it seals and unseals a
// throw-away secret, to the present values of PCRs, and would take a volume identity at an
// NV index. Nothing stays in the TPM: where the storage root key is not there yet, the same
// key is made for the moment. Errors are those of Seal, Unseal and WriteIdentity.
func (d *Device) Rehearse(ctx context.Context, identity uint32, pcrs ...int) error {
	o, done := d.begin(ctx)
	defer done()
	now, err := o.readPCRs(pcrs)
	if err != nil {
		return err
	}
	policy := Policy{Literal: now}
	if err := policy.sealable(); err != nil {
		return err
	}
	// An SRK that is there needs no owner to be used, but the identity does.
	p, err := o.properties()
	if err != nil {
		return err
	}
	if p[tpm2.TPMPTPermanent]&permanentOwnerAuthSet != 0 {
		return &OwnerAuthError{}
	}
	if _, err := o.identityIndex(identity); err != nil {
		return err
	}
	key, err := o.srk()
	if err == nil && key == nil {
		key, err = o.createPrimary(tpm2.TPMRHOwner, srkTemplate())
	}
	if err != nil {
		return err
	}
	defer key.release(o)
	return o.sealAndUnseal(key, policy)
}

func (o *op) sealAndUnseal(key *storageKey, policy Policy) error {
	digest, err := policy.Digest()
	if err != nil {
		return err
	}
	before, pinned := o.d.pinned, *key
	pinned.transient = false // released once, by the caller
	o.d.pinned = &pinned     // so that the session needs no key of its own
	defer func() { o.d.pinned = before }()

	secret := make([]byte, 32)
	rand.Read(secret) // never fails
	sealed, err := o.sealUnder(key, secret, digest, nil)
	if err != nil {
		return err
	}
	sealed.PCRs, sealed.Values = policy.Literal.Numbers(), policy.Literal
	u, err := o.unsealing(sealed, nil)
	if err != nil {
		return err
	}
	u.key = key
	got, err := u.run(nil)
	if err == nil && !bytes.Equal(got, secret) {
		err = errors.New("the TPM unseals something else than what was sealed")
	}
	return err
}
