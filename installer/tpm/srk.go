package tpm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// SRKHandle is where the storage root key is kept (TCG "TPM v2.0 Provisioning Guidance",
// section 7.5.1).
const SRKHandle = 0x81000001

// storageKey is a key that objects are sealed under and salts are encrypted to.
type storageKey struct {
	handle    tpm2.TPMHandle
	name      []byte // TPM name: algorithm and hash of the public area
	public    tpm2.TPMTPublic
	transient bool // made for this operation, to be flushed
}

func (k *storageKey) release(o *op) {
	if k.transient {
		o.flush(k.handle)
	}
}

func (k *storageKey) named() tpm2.NamedHandle {
	return tpm2.NamedHandle{Handle: k.handle, Name: tpm2.TPM2BName{Buffer: k.name}}
}

// srkTemplate is the SRK that systemd 254 and later make: the TCG template, but with an
// empty unique field. (go-tpm's has 32 zero bytes there, which gives another key.) NoDA:
// using it never counts as a try and works during a lockout.
func srkTemplate() tpm2.TPMTPublic {
	t := tpm2.ECCSRKTemplate
	t.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{})
	return t
}

// legacyTemplate is the primary key that systemd up to 253 made anew for each use: without
// NoDA. alg is the token's tpm2-primary-alg.
func legacyTemplate(alg string) (tpm2.TPMTPublic, error) {
	var t tpm2.TPMTPublic
	switch alg {
	case "ecc":
		t = srkTemplate()
	case "rsa":
		t = tpm2.RSASRKTemplate
		t.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{})
	default:
		return t, fmt.Errorf("unknown kind of primary key %q", alg)
	}
	t.ObjectAttributes.NoDA = false
	return t, nil
}

// createPrimary makes a transient primary key. Owner and null hierarchy are used with an
// empty authorization value.
func (o *op) createPrimary(hierarchy tpm2.TPMHandle, template tpm2.TPMTPublic) (*storageKey, error) {
	rsp, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.AuthHandle{Handle: hierarchy, Auth: tpm2.PasswordAuth(nil)},
		InPublic:      tpm2.New2B(template),
	}.Execute(o)
	switch {
	case isRC(err, tpm2.TPMRCBadAuth, tpm2.TPMRCAuthFail):
		return nil, &OwnerAuthError{}
	case err != nil:
		return nil, fmt.Errorf("making a storage key: %w", err)
	}
	key, err := newStorageKey(rsp.ObjectHandle, rsp.OutPublic.Bytes())
	if err != nil {
		o.flush(rsp.ObjectHandle)
		return nil, err
	}
	key.transient = true
	return key, nil
}

// newStorageKey computes the name itself; what the TPM says about it is not needed.
func newStorageKey(handle tpm2.TPMHandle, publicArea []byte) (*storageKey, error) {
	pub, err := parsePublic(publicArea)
	if err != nil {
		return nil, fmt.Errorf("reading a storage key: %w", err)
	}
	name, err := tpm2.ObjectName(pub)
	if err != nil {
		return nil, fmt.Errorf("reading a storage key: %w", err)
	}
	return &storageKey{handle: handle, name: name.Buffer, public: *pub}, nil
}

// readKey reads the persistent key at a handle; nil if there is none.
func (o *op) readKey(handle uint32) (*storageKey, error) {
	rsp, err := tpm2.ReadPublic{ObjectHandle: tpm2.TPMHandle(handle)}.Execute(o)
	switch {
	case isRC(err, tpm2.TPMRCHandle):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading the storage key at %#x: %w", handle, err)
	}
	return newStorageKey(tpm2.TPMHandle(handle), rsp.OutPublic.Bytes())
}

// srk returns the SRK; nil if its place is empty.
func (o *op) srk() (*storageKey, error) {
	key, err := o.readKey(SRKHandle)
	if err != nil || key == nil {
		return nil, err
	}
	if !sameTemplate(key.public, srkTemplate()) {
		return nil, &HandleTakenError{Handle: SRKHandle, What: describeKey(key.public)}
	}
	return key, nil
}

// ensureSRK returns the SRK, and makes it if its place is empty.
func (o *op) ensureSRK() (*storageKey, error) {
	if key, err := o.srk(); err != nil || key != nil {
		return key, err
	}
	made, err := o.createPrimary(tpm2.TPMRHOwner, srkTemplate())
	if err != nil {
		return nil, err
	}
	defer made.release(o)
	_, err = tpm2.EvictControl{
		Auth:             tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)},
		ObjectHandle:     made.named(),
		PersistentHandle: SRKHandle,
	}.Execute(o)
	switch {
	case isRC(err, tpm2.TPMRCBadAuth, tpm2.TPMRCAuthFail):
		return nil, &OwnerAuthError{}
	case err != nil:
		return nil, fmt.Errorf("storing the storage key at %#x: %w", SRKHandle, err)
	}
	return &storageKey{handle: SRKHandle, name: made.name, public: made.public}, nil
}

// saltKey is the key for the device's session: the pinned one; else the one at the SRK's
// place, of whatever kind; else one made for the moment below the null hierarchy, which
// needs no authorization, so that a PCR can be extended on a TPM in any state.
func (o *op) saltKey() (*storageKey, error) {
	if o.d.pinned != nil {
		key := *o.d.pinned
		return &key, nil
	}
	key, err := o.readKey(SRKHandle)
	if err != nil {
		return nil, err
	}
	if key != nil {
		if a := key.public.ObjectAttributes; a.Decrypt && a.Restricted {
			return key, nil
		}
	}
	return o.createPrimary(tpm2.TPMRHNull, srkTemplate())
}

// parent finds the key that s was sealed under. The caller releases it.
func (o *op) parent(s *Sealed) (*storageKey, error) {
	if len(s.SRK) == 0 {
		template, err := legacyTemplate(s.PrimaryAlg)
		if err != nil {
			return nil, err
		}
		return o.createPrimary(tpm2.TPMRHOwner, template)
	}
	want, err := parseSRK(s.SRK)
	if err != nil {
		return nil, err
	}
	got, err := o.readKey(uint32(want.handle))
	if err != nil {
		return nil, err
	}
	if got == nil {
		return o.remakeSRK(want)
	}
	if !bytes.Equal(got.name, want.name) {
		return nil, &SRKMismatchError{Handle: uint32(want.handle), Want: want.name, Got: got.name}
	}
	pinned := *want
	o.d.pinned = &pinned
	return want, nil
}

// remakeSRK tells a TPM that was cleared from one whose key was only taken from its
// place: the same seed and template give the same key again.
func (o *op) remakeSRK(want *storageKey) (*storageKey, error) {
	made, err := o.createPrimary(tpm2.TPMRHOwner, srkTemplate())
	var ownerAuth *OwnerAuthError
	switch {
	case errors.As(err, &ownerAuth):
		return nil, &ClearedError{Handle: uint32(want.handle)}
	case err != nil:
		return nil, err
	}
	if !bytes.Equal(made.name, want.name) {
		made.release(o)
		return nil, &ClearedError{Handle: uint32(want.handle)}
	}
	return made, nil
}

// Pin makes the key recorded in a token's tpm2_srk the one that all later sessions must
// prove; errors are those of Unseal about the storage key. Unseal and Check do this by
// themselves.
func (d *Device) Pin(ctx context.Context, srk []byte) error {
	o, done := d.begin(ctx)
	defer done()
	key, err := o.parent(&Sealed{SRK: srk})
	if err != nil {
		return fmt.Errorf("checking the storage key: %w", err)
	}
	key.release(o)
	return nil
}

// marshalSRK writes tpm2_srk: u32 handle ‖ TPM2B_NAME ‖ u32 1 ‖ TPM2B_PUBLIC, which is how
// tpm2-tss serialises a handle (1: an object with a public area).
func marshalSRK(k *storageKey) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(k.handle))
	b = append2B(b, k.name)
	b = binary.BigEndian.AppendUint32(b, 1)
	return append2B(b, tpm2.Marshal(k.public))
}

// parseSRK reads tpm2_srk. It comes from a LUKS2 header, so from anybody.
func parseSRK(b []byte) (*storageKey, error) {
	bad := func(why string) (*storageKey, error) {
		return nil, fmt.Errorf("the token's tpm2_srk is damaged: %s", why)
	}
	if len(b) < 4 {
		return bad("too short")
	}
	handle := binary.BigEndian.Uint32(b)
	if handle>>24 != 0x81 {
		return bad(fmt.Sprintf("%#x is not the handle of a persistent key", handle))
	}
	name, b, ok := cut2B(b[4:])
	if !ok || len(b) < 4 || binary.BigEndian.Uint32(b) != 1 {
		return bad("no public area")
	}
	public, rest, ok := cut2B(b[4:])
	if !ok || len(rest) != 0 {
		return bad("wrong length")
	}
	key, err := newStorageKey(tpm2.TPMHandle(handle), public)
	if err != nil {
		return bad(err.Error())
	}
	if !bytes.Equal(key.name, name) {
		return bad("name and public area differ")
	}
	if a := key.public.ObjectAttributes; !a.Decrypt || !a.Restricted || !a.FixedTPM {
		return bad("not a storage key")
	}
	return key, nil
}

func append2B(b, content []byte) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(content))), content...)
}

// cut2B takes a TPM2B off the front.
func cut2B(b []byte) (content, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	n := int(binary.BigEndian.Uint16(b))
	if len(b) < 2+n {
		return nil, nil, false
	}
	return b[2 : 2+n], b[2+n:], true
}

// parsePublic reads a TPMT_PUBLIC and nothing after it.
func parsePublic(area []byte) (*tpm2.TPMTPublic, error) {
	pub, err := tpm2.Unmarshal[tpm2.TPMTPublic](area)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(tpm2.Marshal(*pub), area) {
		return nil, errors.New("bytes left over after the public area")
	}
	return pub, nil
}

// sameTemplate compares everything but the key itself.
func sameTemplate(a, b tpm2.TPMTPublic) bool {
	return a.Type == b.Type && bytes.Equal(withoutUnique(a), withoutUnique(b))
}

func withoutUnique(p tpm2.TPMTPublic) []byte {
	switch p.Type {
	case tpm2.TPMAlgECC:
		p.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{})
	case tpm2.TPMAlgRSA:
		p.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{})
	}
	return tpm2.Marshal(p)
}

// describeKey says what a key is, in the words of the field.
func describeKey(p tpm2.TPMTPublic) string {
	var kind string
	switch p.Type {
	case tpm2.TPMAlgRSA:
		kind = "an RSA key"
		if d, err := p.Parameters.RSADetail(); err == nil {
			kind = fmt.Sprintf("an RSA-%d key", d.KeyBits)
		}
	case tpm2.TPMAlgECC:
		kind = "an ECC key"
		if d, err := p.Parameters.ECCDetail(); err == nil && d.CurveID == tpm2.TPMECCNistP256 {
			kind = "an ECC P-256 key"
		}
	default:
		kind = fmt.Sprintf("an object of type %#x", uint16(p.Type))
	}
	switch a := p.ObjectAttributes; {
	case a.Restricted && a.Decrypt && !a.NoDA:
		kind += " for storage, subject to lockout"
	case a.Restricted && a.Decrypt:
		kind += " for storage"
	case a.Restricted && a.SignEncrypt:
		kind += " for attestation"
	case a.SignEncrypt:
		kind += " for signing"
	}
	if !bytes.Equal(p.AuthPolicy.Buffer, nil) {
		kind += ", bound to a policy"
	}
	return kind
}
