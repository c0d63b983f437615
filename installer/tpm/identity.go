package tpm

import (
	"context"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// IdentityIndex is the NV index for the volume's identity: an arbitrary one in the range
// that TCG's "Registry of Reserved TPM 2.0 Handles" leaves to the owner (0x01800000 to
// 0x01bfffff), away from its start, where tools that look for a free one begin.
const IdentityIndex = 0x01a57e4b

// maxIdentity bounds the value; an HMAC has 32 or 64 bytes.
const maxIdentity = 64

// identityAttributes of the index:
//
//   - ownerwrite: written with the owner's authorization, which is empty on the TPMs that
//     are enrolled here.
//   - authread and ownerread, with an empty value: anybody may read. The identity is an
//     HMAC and gives nothing away.
//   - no_da: reading works during a lockout, and never counts as a try.
//   - no policy, no write lock: they would protect nothing, since the owner can remove an
//     index and define it anew, and TPM 2.0 knows no index of the owner that the owner
//     cannot remove (policydelete needs the platform's authorization).
//
// So this stops a swapped disk or volume. It does not stop someone who ran their own
// system on this very box; what stops them is that the key does not unseal there.
func identityAttributes() tpm2.TPMANV {
	return tpm2.TPMANV{OwnerWrite: true, OwnerRead: true, AuthRead: true, NoDA: true, NT: tpm2.TPMNTOrdinary}
}

// nvIndex is the index as the TPM has it now. Its name changes with the first write.
type nvIndex struct {
	handle  tpm2.TPMHandle
	name    tpm2.TPM2BName
	size    int
	written bool
}

func (n *nvIndex) named() tpm2.NamedHandle { return tpm2.NamedHandle{Handle: n.handle, Name: n.name} }

// identityIndex looks an index up; nil if there is none.
func (o *op) identityIndex(index uint32) (*nvIndex, error) {
	if index < 0x01800000 || index > 0x01bfffff {
		return nil, fmt.Errorf("%#x is not an NV index for owners", index)
	}
	rsp, err := tpm2.NVReadPublic{NVIndex: tpm2.TPMHandle(index)}.Execute(o)
	switch {
	case isRC(err, tpm2.TPMRCHandle):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("looking up NV index %#x: %w", index, err)
	}
	pub, err := rsp.NVPublic.Contents()
	if err != nil {
		return nil, fmt.Errorf("looking up NV index %#x: %w", index, err)
	}
	name, err := tpm2.NVName(pub) // computed, not taken from the answer
	if err != nil {
		return nil, fmt.Errorf("looking up NV index %#x: %w", index, err)
	}
	written := pub.Attributes.Written
	pub.Attributes.Written = false
	switch {
	case uint32(pub.NVIndex) != index:
		return nil, &NVTakenError{Index: index, Why: "the answer is about another index"}
	case pub.Attributes != identityAttributes() || len(pub.AuthPolicy.Buffer) != 0:
		return nil, &NVTakenError{Index: index, Why: "its attributes are not those of a volume identity"}
	case pub.DataSize == 0 || pub.DataSize > maxIdentity:
		return nil, &NVTakenError{Index: index, Why: fmt.Sprintf("it holds %d bytes", pub.DataSize)}
	}
	return &nvIndex{tpm2.TPMHandle(index), *name, int(pub.DataSize), written}, nil
}

// WriteIdentity keeps a value of 1 to 64 bytes in an NV index, normally IdentityIndex,
// and makes the index if needed. A value that is there already is not written again: NV
// memory wears. Errors: *OwnerAuthError, *NVTakenError, *BusError.
func (d *Device) WriteIdentity(ctx context.Context, index uint32, value []byte) error {
	if len(value) == 0 || len(value) > maxIdentity {
		return fmt.Errorf("an identity of %d bytes; it must have 1 to %d", len(value), maxIdentity)
	}
	o, done := d.begin(ctx)
	defer done()
	nv, err := o.identityIndex(index)
	if err != nil {
		return err
	}
	if nv != nil && nv.written && nv.size == len(value) {
		old, err := o.readNV(nv)
		if err != nil {
			return err
		}
		if string(old) == string(value) {
			return nil
		}
	}
	if nv != nil && nv.size != len(value) {
		if err := o.undefine(nv); err != nil {
			return err
		}
		nv = nil
	}
	if nv == nil {
		if nv, err = o.define(index, len(value)); err != nil {
			return err
		}
	}
	return o.asOwner("writing the volume identity", func(auth tpm2.AuthHandle, s *session) error {
		s.use(nil, true, false)
		_, err := tpm2.NVWrite{AuthHandle: auth, NVIndex: nv.named(), Data: tpm2.TPM2BMaxNVBuffer{Buffer: value}}.Execute(o)
		return err
	})
}

// ReadIdentity reads the value, with the TPM's proof that it is from there. The error is
// ErrNoIdentity if there is none; that answer has no proof, so a box that should have an
// identity must treat it like a wrong one. Other errors: *NVTakenError, *BusError.
func (d *Device) ReadIdentity(ctx context.Context, index uint32) ([]byte, error) {
	o, done := d.begin(ctx)
	defer done()
	nv, err := o.identityIndex(index)
	if err != nil {
		return nil, err
	}
	if nv == nil || !nv.written {
		return nil, ErrNoIdentity
	}
	return o.readNV(nv)
}

// EraseIdentity removes the index. It is no error if there is none. It does not remove an
// index that is not one of WriteIdentity's (*NVTakenError).
func (d *Device) EraseIdentity(ctx context.Context, index uint32) error {
	o, done := d.begin(ctx)
	defer done()
	nv, err := o.identityIndex(index)
	if err != nil || nv == nil {
		return err
	}
	return o.undefine(nv)
}

func (o *op) readNV(nv *nvIndex) (value []byte, err error) {
	err = o.withSession("reading the volume identity", func(s *session) error {
		rsp, err := tpm2.NVRead{
			AuthHandle: tpm2.AuthHandle{Handle: nv.handle, Name: nv.name, Auth: s.use(nil, false, true)},
			NVIndex:    nv.named(),
			Size:       uint16(nv.size),
		}.Execute(o)
		if err != nil {
			return err
		}
		value = rsp.Data.Buffer
		return nil
	})
	return value, err
}

func (o *op) define(index uint32, size int) (*nvIndex, error) {
	pub := tpm2.TPMSNVPublic{
		NVIndex: tpm2.TPMHandle(index), NameAlg: tpm2.TPMAlgSHA256,
		Attributes: identityAttributes(), DataSize: uint16(size),
	}
	err := o.asOwner("making a place for the volume identity", func(auth tpm2.AuthHandle, s *session) error {
		s.use(nil, true, false)
		_, err := tpm2.NVDefineSpace{AuthHandle: auth, PublicInfo: tpm2.New2B(pub)}.Execute(o)
		return err
	})
	if err != nil {
		return nil, err
	}
	name, err := tpm2.NVName(&pub)
	if err != nil {
		return nil, err
	}
	return &nvIndex{tpm2.TPMHandle(index), *name, size, false}, nil
}

func (o *op) undefine(nv *nvIndex) error {
	return o.asOwner("removing the volume identity", func(auth tpm2.AuthHandle, s *session) error {
		s.use(nil, false, false)
		_, err := tpm2.NVUndefineSpace{AuthHandle: auth, NVIndex: nv.named()}.Execute(o)
		return err
	})
}

// asOwner runs a command that needs the owner's (empty) authorization.
func (o *op) asOwner(doing string, f func(auth tpm2.AuthHandle, s *session) error) error {
	err := o.withSession(doing, func(s *session) error {
		return f(tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Name: tpm2.HandleName(tpm2.TPMRHOwner), Auth: s}, s)
	})
	if isRC(err, tpm2.TPMRCBadAuth, tpm2.TPMRCAuthFail) {
		p, perr := o.properties()
		if perr == nil && p[tpm2.TPMPTPermanent]&permanentOwnerAuthSet == 0 {
			return &BusError{Doing: doing, Err: err}
		}
		return &OwnerAuthError{}
	}
	return err
}
