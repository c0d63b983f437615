package tpm

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/go-tpm/tpm2"
)

// Fault is an error with an answer to "and now?". Every error type of this package is one.
type Fault interface {
	error
	// Remedy says in plain words what a person can do.
	Remedy() string
}

// NoDeviceError: there is no TPM at the given place, or its driver is not there (yet).
type NoDeviceError struct {
	Spec string // what was given to Open
	Err  error
}

func (e *NoDeviceError) Error() string { return fmt.Sprintf("no TPM at %s: %v", e.Spec, e.Err) }
func (e *NoDeviceError) Unwrap() error { return e.Err }
func (e *NoDeviceError) Remedy() string {
	return "switch the TPM on in the firmware settings (it may be called fTPM, PTT or Security Device), or use another way to unlock"
}

// FailedError: the TPM is there and says that it is out of order (TPM_RC_FAILURE).
type FailedError struct{ Err error }

func (e *FailedError) Error() string {
	return fmt.Sprintf("the TPM reports that it has failed: %v", e.Err)
}
func (e *FailedError) Unwrap() error { return e.Err }
func (e *FailedError) Remedy() string {
	return "switch the box off, take the power away for a minute, and try again; if it stays, use the recovery key and have the board replaced"
}

// BusyError: the TPM asked again and again to try later.
type BusyError struct {
	After time.Duration // how long was tried
	Err   error
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("the TPM is still busy after %s: %v", e.After.Round(time.Second), e.Err)
}
func (e *BusyError) Unwrap() error  { return e.Err }
func (e *BusyError) Remedy() string { return "restart the box; if it stays, use the recovery key" }

// ClearedError: the storage root key that the secret was sealed under is gone.
type ClearedError struct {
	Handle uint32 // where the key should be
}

func (e *ClearedError) Error() string {
	return fmt.Sprintf("the TPM was cleared: its storage key at %#x is gone", e.Handle)
}
func (e *ClearedError) Remedy() string {
	return "open the disk with the recovery key, then enrol the TPM again; somebody cleared the TPM, or a firmware update did"
}

// SRKMismatchError is an alarm: the TPM has a storage root key, but not the one the secret
// was sealed under.
type SRKMismatchError struct {
	Handle    uint32
	Want, Got []byte // TPM names
}

func (e *SRKMismatchError) Error() string {
	return fmt.Sprintf("alarm: the storage key of this TPM is %s, the disk was enrolled with %s", shortName(e.Got), shortName(e.Want))
}
func (e *SRKMismatchError) Remedy() string {
	return "this disk belongs to another board, or the TPM was cleared and set up again, or something sits between the processor and the TPM: look at the box before you type the recovery key"
}

// OtherTPMError: the TPM cannot load the sealed object (TPM_RC_INTEGRITY).
type OtherTPMError struct {
	// SRKMatches is true if the storage key is the right one; then the object itself is
	// damaged. Otherwise it was made by another TPM, or by this one before it was cleared.
	SRKMatches bool
	Err        error
}

func (e *OtherTPMError) Error() string {
	if e.SRKMatches {
		return fmt.Sprintf("the sealed object is damaged: %v", e.Err)
	}
	return fmt.Sprintf("the secret was sealed by another TPM, or by this one before it was cleared: %v", e.Err)
}
func (e *OtherTPMError) Unwrap() error { return e.Err }
func (e *OtherTPMError) Remedy() string {
	return "open the disk with the recovery key, then enrol this TPM again"
}

// HandleTakenError: the place of the storage root key holds a key of another kind.
type HandleTakenError struct {
	Handle uint32
	What   string // what the key there is, in words
}

func (e *HandleTakenError) Error() string {
	return fmt.Sprintf("the TPM's storage key at %#x is another one than needed: %s", e.Handle, e.What)
}
func (e *HandleTakenError) Remedy() string {
	return "the TPM was used by another system before; if nothing on this box needs it any more, clear the TPM in the firmware settings and start again"
}

// OwnerAuthError: somebody set an owner password on the TPM.
type OwnerAuthError struct{}

func (e *OwnerAuthError) Error() string { return "the TPM has an owner password" }
func (e *OwnerAuthError) Remedy() string {
	return "the TPM was taken over by another system (old Windows or Linux installations do this); if nothing on this box needs it any more, clear the TPM in the firmware settings and start again"
}

// NoBankError: the PCRs have no active SHA-256 bank.
type NoBankError struct {
	Banks []string // the active ones
}

func (e *NoBankError) Error() string {
	return fmt.Sprintf("the TPM keeps no SHA-256 PCRs (active: %s)", strings.Join(e.Banks, ", "))
}
func (e *NoBankError) Remedy() string {
	return "switch the SHA-256 PCR bank on in the firmware settings (often below Security, TPM)"
}

// LockoutError: after too many wrong PINs the TPM refuses everything that has a PIN
// (TPM_RC_LOCKOUT, 0x921).
type LockoutError struct{ Lockout Lockout }

func (e *LockoutError) Error() string {
	s := fmt.Sprintf("the TPM is locked after %d wrong tries", e.Lockout.Counter)
	if d := e.Lockout.Ends(); d > 0 {
		s += fmt.Sprintf("; the next try is possible in at most %s of running time", d)
	}
	return s
}
func (e *LockoutError) Remedy() string {
	return "leave the box switched on and wait: the time counts only while it runs, and every further try starts it again; or use the recovery key"
}

// PINError: the PIN was wrong.
type PINError struct {
	Left int // further tries before the TPM locks; -1 if unknown
}

func (e *PINError) Error() string {
	switch {
	case e.Left < 0:
		return "wrong PIN"
	case e.Left == 0:
		return "wrong PIN; the TPM is locked now"
	}
	return fmt.Sprintf("wrong PIN; %d more before the TPM locks", e.Left)
}
func (e *PINError) Remedy() string { return "type the PIN again, slowly; or use the recovery key" }

// ErrPINRequired means that a PIN is needed and none, or an empty one, was given. The TPM
// was not asked, so this costs no try.
var ErrPINRequired = errors.New("a PIN is needed")

// BusError is an alarm: an answer does not carry the proof of this TPM's storage key.
type BusError struct {
	Doing string
	Err   error
}

func (e *BusError) Error() string {
	return fmt.Sprintf("alarm: %s: the answer is not from the TPM that holds the storage key: %v", e.Doing, e.Err)
}
func (e *BusError) Unwrap() error { return e.Err }
func (e *BusError) Remedy() string {
	return "something may sit between the processor and the TPM: look at the board; a worn or loose TPM module gives this too"
}

// UnprovenError: a PCR was extended, but the TPM gave no proof of it.
type UnprovenError struct {
	PCR int
	Err error
}

func (e *UnprovenError) Error() string {
	return fmt.Sprintf("PCR %d was extended, but without the TPM's proof: %v", e.PCR, e.Err)
}
func (e *UnprovenError) Unwrap() error { return e.Err }
func (e *UnprovenError) Remedy() string {
	return "restart the box; if it stays, look at the TPM module and its connector"
}

// PCRValueError: a value that a real boot does not leave behind was to be sealed to.
type PCRValueError struct {
	PCR int
	Why string
}

func (e *PCRValueError) Error() string {
	return fmt.Sprintf("refusing to seal to PCR %d: %s", e.PCR, e.Why)
}
func (e *PCRValueError) Remedy() string {
	return "the firmware does not measure into this PCR: switch measured boot (TPM, SHA-256) on in the firmware settings, or leave this PCR out of the policy"
}

// NVTakenError: the NV index for the identity holds something else.
type NVTakenError struct {
	Index uint32
	Why   string
}

func (e *NVTakenError) Error() string {
	return fmt.Sprintf("NV index %#x of the TPM is used by something else: %s", e.Index, e.Why)
}
func (e *NVTakenError) Remedy() string {
	return "another program keeps data there; choose another index, or remove that data with that program"
}

// ErrNoIdentity means that the NV index is not there, or was never written.
var ErrNoIdentity = errors.New("the TPM holds no volume identity")

// isRC tells whether err is the given TPM response code, whatever handle, session or
// parameter it speaks of.
func isRC(err error, codes ...tpm2.TPMRC) bool {
	return slices.ContainsFunc(codes, func(rc tpm2.TPMRC) bool { return errors.Is(err, rc) })
}

// shortName abbreviates a TPM name for people: enough to compare two.
func shortName(name []byte) string {
	if len(name) == 0 {
		return "unknown"
	}
	s := fmt.Sprintf("%x", name)
	return s[:min(len(s), 20)]
}
