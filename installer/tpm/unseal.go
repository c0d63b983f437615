package tpm

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-tpm/tpm2"
)

// pcrRaces bounds how often unsealing starts again because something extended a PCR in
// between (TPM_RC_PCR_CHANGED).
const pcrRaces = 5

// Unseal returns the secret. sig may be nil for a policy without Signed; pin is for one
// with PIN.
//
// Errors to decide on: *ClearedError, *SRKMismatchError, *OtherTPMError, *PolicyError
// (found out before the PIN is used, so it costs no try), ErrPINRequired, *PINError,
// *LockoutError, *BusError, *BusyError, *FailedError.
func (d *Device) Unseal(ctx context.Context, s *Sealed, sig *SignatureFile, pin []byte) ([]byte, error) {
	var auth []byte
	if s.PIN {
		var err error
		if auth, err = pinAuth(pin, s.Salt); err != nil {
			return nil, err
		}
		defer clear(auth)
	}
	o, done := d.begin(ctx)
	defer done()
	u, err := o.unsealing(s, auth)
	if err != nil {
		return nil, err
	}
	if u.key, err = o.parent(s); err != nil {
		return nil, err
	}
	defer u.key.release(o)
	return u.run(sig)
}

// unsealing reads what is to be unsealed; the key that it lies below is still to be given.
func (o *op) unsealing(s *Sealed, auth []byte) (*unseal, error) {
	private, publicArea, pub, err := s.object()
	if err != nil {
		return nil, err
	}
	name, err := tpm2.ObjectName(pub)
	if err != nil {
		return nil, fmt.Errorf("unsealing: %w", err)
	}
	return &unseal{op: o, s: s, private: private, public: publicArea, name: name.Buffer, auth: auth}, nil
}

func (u *unseal) run(sig *SignatureFile) ([]byte, error) {
	for try := 1; ; try++ {
		secret, err := u.once(sig)
		if err == nil {
			if u.s.PIN {
				err = u.forgetPINUse()
			}
			return secret, err
		}
		if try < pcrRaces && isRC(err, tpm2.TPMRCPCRChanged) {
			continue
		}
		return nil, u.explain(err)
	}
}

// forgetPINUse keeps a power cut from counting as a wrong try. A TPM that loses power
// after an object with a PIN was used, and before an orderly shutdown, adds one to its
// lockout counter (part 1, section 19.8.6: the try might have been a wrong one whose
// record the cut prevented); a box with bad power would lock itself out. The shutdown is
// announced at once: commands may follow it, and the next start then resets the TPM's
// volatile state as any start does.
func (o *op) forgetPINUse() error {
	if _, err := (tpm2.Shutdown{ShutdownType: tpm2.TPMSUClear}).Execute(o); err != nil {
		return fmt.Errorf("settling the TPM after the PIN: %w", err)
	}
	return nil
}

// unseal is one call of Unseal.
type unseal struct {
	*op
	s               *Sealed
	key             *storageKey
	private, public []byte
	name            []byte
	auth            []byte
}

func (u *unseal) once(sig *SignatureFile) ([]byte, error) {
	plan, err := u.plan(sig)
	if err != nil {
		return nil, err
	}
	sess, err := u.startSession(tpm2.TPMSEPolicy, u.key)
	if err != nil {
		return nil, err
	}
	defer sess.forget()
	defer u.flush(sess.handle)
	if err := plan.execute(u.op, sess.handle); err != nil {
		return nil, err
	}
	item, err := u.load()
	if err != nil {
		return nil, err
	}
	defer u.flush(item)
	rsp, err := tpm2.Unseal{ItemHandle: tpm2.AuthHandle{
		Handle: item, Name: tpm2.TPM2BName{Buffer: u.name}, Auth: sess.use(u.auth, false, true),
	}}.Execute(u.op)
	if err != nil {
		return nil, fmt.Errorf("unsealing: %w", err)
	}
	return rsp.OutData.Buffer, nil
}

// load loads the object. Its parent has an empty authorization value and the object is
// public, so nothing here needs protection; its name is part of the proof of TPM2_Unseal.
func (u *unseal) load() (tpm2.TPMHandle, error) {
	rsp, err := tpm2.Load{
		ParentHandle: tpm2.AuthHandle{Handle: u.key.handle, Name: u.key.named().Name, Auth: tpm2.PasswordAuth(nil)},
		InPrivate:    tpm2.TPM2BPrivate{Buffer: u.private},
		InPublic:     tpm2.BytesAs2B[tpm2.TPMTPublic](u.public),
	}.Execute(u.op)
	switch {
	case isRC(err, tpm2.TPMRCIntegrity):
		return 0, &OtherTPMError{SRKMatches: len(u.s.SRK) > 0, Err: err}
	case err != nil:
		return 0, fmt.Errorf("loading the sealed object: %w", err)
	}
	return rsp.ObjectHandle, nil
}

// policyPlan is what has to be done in a policy session, with what is known to hold now.
type policyPlan struct {
	signed    PCRs   // present values of the signed PCRs
	signature []byte // over the policy of signed
	key       tpm2.TPMTPublic
	literal   PCRs
	pin       bool
}

// plan compares the present PCR values with the policy, before the TPM is asked: so the
// fault can be named, and a PIN is never spent on a policy that cannot hold.
func (u *unseal) plan(sig *SignatureFile) (*policyPlan, error) {
	s := u.s
	all := slices.Clone(s.PCRs)
	if s.Signed != nil {
		all = append(all, s.Signed.PCRs...)
	}
	now, err := u.readPCRs(all)
	if err != nil {
		return nil, err
	}
	plan := &policyPlan{literal: now.only(s.PCRs), pin: s.PIN}
	exponent, ok, err := s.exponent(s.policy(now))
	if err != nil {
		return nil, err
	}
	if s.Signed != nil {
		plan.signed = now.only(s.Signed.PCRs)
		plan.signature = sig.Find(s.Signed.Key, s.Signed.PCRs, PCRPolicyDigest(plan.signed))
		if plan.signature == nil {
			reason := NoSignature
			if sig != nil && len(sig.entries) > 0 && !sig.HasKey(s.Signed.Key) {
				reason = ForeignSignatures
			}
			return nil, &PolicyError{Reason: reason, PCRs: s.Signed.PCRs, Now: plan.signed}
		}
		if plan.key, err = s.Signed.object(exponent); err != nil {
			return nil, err
		}
	}
	if !ok {
		return nil, s.changed(plan.literal)
	}
	return plan, nil
}

func (p PCRs) only(numbers []int) PCRs {
	out := PCRs{}
	for _, n := range numbers {
		out[n] = p[n]
	}
	return out
}

// execute brings a policy session to the policy.
func (p *policyPlan) execute(o *op, session tpm2.TPMHandle) error {
	if p.signature != nil {
		if err := p.authorize(o, session); err != nil {
			return err
		}
	}
	if len(p.literal) > 0 {
		cmd := policyPCR(p.literal)
		cmd.PolicySession = session
		if _, err := cmd.Execute(o); err != nil {
			return fmt.Errorf("checking PCRs: %w", err)
		}
	}
	if p.pin {
		if _, err := (tpm2.PolicyAuthValue{PolicySession: session}).Execute(o); err != nil {
			return fmt.Errorf("asking for the PIN: %w", err)
		}
	}
	return nil
}

// authorize does PolicyPCR over the signed PCRs and has the TPM check its signature.
func (p *policyPlan) authorize(o *op, session tpm2.TPMHandle) error {
	cmd := policyPCR(p.signed)
	cmd.PolicySession = session
	if _, err := cmd.Execute(o); err != nil {
		return fmt.Errorf("checking the signed PCRs: %w", err)
	}
	// Owner hierarchy: the TPM gives no ticket for keys of the null hierarchy
	// (part 3, section 20.1).
	key, err := tpm2.LoadExternal{InPublic: tpm2.New2B(p.key), Hierarchy: tpm2.TPMRHOwner}.Execute(o)
	if err != nil {
		return fmt.Errorf("loading the PCR signing key: %w", err)
	}
	defer o.flush(key.ObjectHandle)
	approved := PCRPolicyDigest(p.signed)
	verified, err := tpm2.VerifySignature{
		KeyHandle: tpm2.NamedHandle{Handle: key.ObjectHandle, Name: key.Name},
		Digest:    tpm2.TPM2BDigest{Buffer: sha256Sum(approved)},
		Signature: tpm2.TPMTSignature{
			SigAlg: tpm2.TPMAlgRSASSA,
			Signature: tpm2.NewTPMUSignature(tpm2.TPMAlgRSASSA, &tpm2.TPMSSignatureRSA{
				Hash: tpm2.TPMAlgSHA256, Sig: tpm2.TPM2BPublicKeyRSA{Buffer: p.signature},
			}),
		},
	}.Execute(o)
	if err != nil {
		return fmt.Errorf("checking the PCR signature: %w", err)
	}
	_, err = tpm2.PolicyAuthorize{
		PolicySession:  session,
		ApprovedPolicy: tpm2.TPM2BDigest{Buffer: approved},
		KeySign:        key.Name,
		CheckTicket:    verified.Validation,
	}.Execute(o)
	if err != nil {
		return fmt.Errorf("approving the signed PCRs: %w", err)
	}
	return nil
}

// explain turns a response code into the error that a caller decides on.
func (u *unseal) explain(err error) error {
	switch {
	case isRC(err, tpm2.TPMRCLockout):
		l, lerr := u.lockout()
		if lerr != nil {
			l = Lockout{Locked: true}
		}
		return &LockoutError{Lockout: l}
	case isRC(err, tpm2.TPMRCAuthFail, tpm2.TPMRCBadAuth):
		if !u.s.PIN { // no value to be wrong about: the session's key is
			return &BusError{Doing: "unsealing", Err: err}
		}
		l, lerr := u.lockout()
		if lerr != nil {
			return &PINError{Left: -1}
		}
		return &PINError{Left: max(0, l.Max-l.Counter)}
	case errors.Is(err, errSessionHMAC):
		return &BusError{Doing: "unsealing", Err: err}
	case isRC(err, tpm2.TPMRCPolicyFail, tpm2.TPMRCPCR, tpm2.TPMRCPCRChanged):
		now, rerr := u.readPCRs(u.s.PCRs)
		if rerr != nil {
			return err
		}
		return u.s.changed(now)
	}
	return err
}
