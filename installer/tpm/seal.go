package tpm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// maxSealed is the largest secret a TPM takes (MAX_SYM_DATA, part 2, section 11.1.14).
const maxSealed = 128

// saltBytes of a PIN's salt.
const saltBytes = 32

// Seal seals a secret of 1 to 128 bytes under the storage root key, which is made if its
// place is empty. pin is for a policy with PIN.
//
// It refuses a policy that binds to nothing real (*PCRValueError for a literal PCR of all
// zeros or ones, except zeros in 12 and 15). Other errors: *HandleTakenError,
// *OwnerAuthError, *NoBankError. The literal values may be ones that only a later boot
// will have.
func (d *Device) Seal(ctx context.Context, secret []byte, p Policy, pin []byte) (*Sealed, error) {
	if len(secret) == 0 || len(secret) > maxSealed {
		return nil, fmt.Errorf("sealing: the secret has %d bytes; a TPM takes 1 to %d", len(secret), maxSealed)
	}
	if err := p.sealable(); err != nil {
		return nil, err
	}
	if !p.PIN && len(pin) > 0 {
		return nil, errors.New("sealing: a PIN was given, but the policy has none")
	}
	var salt []byte
	if p.PIN {
		salt = make([]byte, saltBytes)
		rand.Read(salt)
	}
	return d.seal(ctx, secret, p, pin, salt, defaultExponent)
}

// seal does the work of Seal, with the PIN's salt and the form of the signing key's name
// given.
func (d *Device) seal(ctx context.Context, secret []byte, p Policy, pin, salt []byte, exponent uint32) (*Sealed, error) {
	digest, err := p.digest(exponent)
	if err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	var auth []byte
	if p.PIN {
		if auth, err = pinAuth(pin, salt); err != nil {
			return nil, err
		}
		defer clear(auth)
	}
	o, done := d.begin(ctx)
	defer done()
	if err := o.needSHA256(); err != nil {
		return nil, err
	}
	srk, err := o.ensureSRK()
	if err != nil {
		return nil, err
	}
	pinned := *srk
	o.d.pinned = &pinned // whatever follows must come from the TPM that sealed
	sealed, err := o.sealUnder(srk, secret, digest, auth)
	if err != nil {
		return nil, err
	}
	sealed.PCRs, sealed.Values, sealed.Signed = p.Literal.Numbers(), p.Literal, p.Signed
	sealed.PIN, sealed.Salt = p.PIN, salt
	return sealed, nil
}

// sealUnder has the TPM seal a secret below a storage key, to the digest of a policy. auth is
// what a policy with a PIN asks for, and nil for one without.
func (o *op) sealUnder(key *storageKey, secret, policy, auth []byte) (*Sealed, error) {
	var made *tpm2.CreateResponse
	err := o.withSession("sealing", func(s *session) (err error) {
		made, err = tpm2.Create{
			ParentHandle: tpm2.AuthHandle{Handle: key.handle, Name: key.named().Name, Auth: s.use(nil, true, true)},
			InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{
				UserAuth: tpm2.TPM2BAuth{Buffer: auth},
				Data:     tpm2.NewTPMUSensitiveCreate(&tpm2.TPM2BSensitiveData{Buffer: secret}),
			}},
			InPublic: tpm2.New2B(sealedTemplate(policy, auth != nil)),
		}.Execute(o)
		return err
	})
	switch {
	case isRC(err, tpm2.TPMRCBadAuth, tpm2.TPMRCAuthFail):
		return nil, &HandleTakenError{Handle: SRKHandle, What: "a storage key with a password"}
	case err != nil:
		return nil, err
	}
	sealed := &Sealed{
		Blob:       append2B(append2B(nil, made.OutPrivate.Buffer), made.OutPublic.Bytes()),
		SRK:        marshalSRK(key),
		PolicyHash: policy,
		PrimaryAlg: "ecc",
		Bank:       "sha256",
	}
	if _, _, _, err := sealed.object(); err != nil {
		return nil, fmt.Errorf("sealing: the TPM gave back something else: %w", err)
	}
	return sealed, nil
}

// sealedTemplate is a sealed secret that only its policy opens. NoDA where there is no
// PIN to guess: then neither a lockout nor a power cut while it is used does any harm.
func sealedTemplate(policy []byte, pin bool) tpm2.TPMTPublic {
	return tpm2.TPMTPublic{
		Type:             tpm2.TPMAlgKeyedHash,
		NameAlg:          tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, NoDA: !pin},
		AuthPolicy:       tpm2.TPM2BDigest{Buffer: policy},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgKeyedHash, &tpm2.TPMSKeyedHashParms{
			Scheme: tpm2.TPMTKeyedHashScheme{Scheme: tpm2.TPMAlgNull},
		}),
	}
}
