package vault

import (
	"crypto"
	"crypto/subtle"
	"errors"
	"fmt"
)

// MapName is the device-mapper name of the opened volume: /dev/mapper/state.
const MapName = "state"

// volumeKey is a recovered volume key, which stays inside the library that
// recovered it.
type volumeKey interface {
	hmac(h crypto.Hash, message []byte) ([]byte, error)
	mapAs(name string) (node string, err error)
	wipe()
}

// Volume is an unlocked volume. It holds the volume key in memory until Close, and
// the PIN if one was typed.
type Volume struct {
	UUID     string
	Slot     *Slot     // the slot that opened it
	Outcomes []Outcome // what failed before, in order

	key volumeKey
	pin []byte // that opened it; nil without one
}

// ErrClosed means that the volume's key was wiped already.
var ErrClosed = errors.New("the volume was closed")

// identityMessage is what systemd-cryptsetup measures into PCR 15
// (tpm2-measure-pcr): "cryptsetup:NAME:UUID".
func (v *Volume) identityMessage() []byte {
	return []byte("cryptsetup:" + MapName + ":" + v.UUID)
}

// Identity is HMAC(volume key, "cryptsetup:state:UUID"), one for each hash of a
// PCR bank. It is extended into PCR 15, and its SHA-256 is kept in the TPM. It
// says which volume this is and nothing about the key.
func (v *Volume) Identity(hashes ...crypto.Hash) (map[crypto.Hash][]byte, error) {
	if v.key == nil {
		return nil, ErrClosed
	}
	id := map[crypto.Hash][]byte{}
	for _, h := range hashes {
		sum, err := v.key.hmac(h, v.identityMessage())
		if err != nil {
			return nil, fmt.Errorf("computing the volume's identity with %v: %w", h, err)
		}
		id[h] = sum
	}
	return id, nil
}

// Measurement is the identity in the form that [tpm.Device.ExtendDigests] asks
// for, one bank's hash at a time. For a bank whose HMAC cannot be had (SHA-3) it
// is the hash of the SHA-256 identity, so that this bank changes as well.
func (v *Volume) Measurement(h crypto.Hash) []byte {
	if id, err := v.Identity(h); err == nil {
		return id[h]
	}
	id, err := v.Identity(crypto.SHA256)
	if err != nil || !h.Available() {
		return nil
	}
	sum := h.New()
	sum.Write(id[crypto.SHA256])
	return sum.Sum(nil)
}

// Map sets up dm-crypt and returns the device node, such as /dev/dm-0. Discards
// are passed down, so that a worn SSD or SD card keeps its speed; the price is
// that the disk shows which blocks are free. The work queues of dm-crypt are not
// used, which doubles the throughput of fast disks.
func (v *Volume) Map() (node string, err error) {
	if v.key == nil {
		return "", ErrClosed
	}
	node, err = v.key.mapAs(MapName)
	if err != nil {
		return "", fmt.Errorf("setting up the encrypted volume: %w", err)
	}
	return node, nil
}

// Close wipes the volume key and the PIN from this process's memory, as far as Go
// allows: copies made by the runtime or on the way to the kernel may remain.
func (v *Volume) Close() {
	clear(v.pin)
	v.pin = nil
	if v.key != nil {
		v.key.wipe()
		v.key = nil
	}
}

// SwappedError means that the volume opened, but is not the one this box was
// installed with: somebody put another one in its place, to have the box work
// with data of their choice or to be handed its secrets. It must not be mounted.
type SwappedError struct{ UUID string }

func (e *SwappedError) Error() string {
	return fmt.Sprintf("the encrypted volume (%s) is not the one this box was installed with", e.UUID)
}

// Remedy says what a person can do.
func (e *SwappedError) Remedy() string {
	return "if the disk was exchanged or installed anew on purpose, install stek again with this box's TPM; otherwise keep the box switched off and look at the disk: somebody may have replaced it"
}

// CheckIdentity compares the volume with an identity kept earlier, which is the
// SHA-256 one of Identity. It returns a *SwappedError when they differ.
func (v *Volume) CheckIdentity(kept []byte) error {
	id, err := v.Identity(crypto.SHA256)
	if err != nil {
		return err
	}
	if !SameIdentity(kept, id[crypto.SHA256]) {
		return &SwappedError{UUID: v.UUID}
	}
	return nil
}

// SameIdentity compares two identities in constant time. Empty ones are never the
// same.
func SameIdentity(a, b []byte) bool {
	return len(a) != 0 && subtle.ConstantTimeCompare(a, b) == 1
}
