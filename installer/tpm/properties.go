package tpm

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/google/go-tpm/tpm2"
)

// Lockout is the state of the defence against guessing (part 1, section 19.8).
type Lockout struct {
	Counter  int           // wrong tries that count now
	Max      int           // at this many the TPM locks
	Interval time.Duration // of running time, after which Counter goes down by one; 0: never by itself
	Recovery time.Duration // wait after a wrong lockout password; 0: until the next reset
	Locked   bool          // everything with a PIN is refused now
}

// Ends is how long the lock lasts at most, in time that the box is switched on; 0 if it is
// not locked or does not end by itself.
func (l Lockout) Ends() time.Duration {
	if !l.Locked {
		return 0
	}
	return time.Duration(max(1, l.Counter-l.Max+1)) * l.Interval
}

// Properties say what TPM this is.
type Properties struct {
	Manufacturer string   // four letters from the TCG vendor ID registry: "IFX", "INTC", "AMD", "IBM"
	Vendor       string   // vendor's name of the chip: "SLB9670"
	Firmware     string   // "major.minor.build.…" as four 16-bit numbers
	Banks        []string // active PCR banks: "sha1", "sha256"

	OwnerAuthSet   bool // somebody set an owner password: nothing can be enrolled
	LockoutAuthSet bool
}

// Lockout reads the state of the defence against guessing. It costs no try.
func (d *Device) Lockout(ctx context.Context) (Lockout, error) {
	o, done := d.begin(ctx)
	defer done()
	return o.lockout()
}

func (o *op) lockout() (Lockout, error) {
	p, err := o.properties()
	if err != nil {
		return Lockout{}, fmt.Errorf("reading the TPM's lockout state: %w", err)
	}
	seconds := func(t tpm2.TPMPT) time.Duration { return time.Duration(p[t]) * time.Second }
	return Lockout{
		Counter:  int(p[tpm2.TPMPTLockoutCounter]),
		Max:      int(p[tpm2.TPMPTMaxAuthFail]),
		Interval: seconds(tpm2.TPMPTLockoutInterval),
		Recovery: seconds(tpm2.TPMPTLockoutRecovery),
		Locked:   p[tpm2.TPMPTPermanent]&permanentInLockout != 0,
	}, nil
}

// TPMA_PERMANENT, part 2, section 8.6.
const (
	permanentOwnerAuthSet   = 1 << 0
	permanentLockoutAuthSet = 1 << 2
	permanentInLockout      = 1 << 9
)

// Properties reads what TPM this is. It needs no session and works in every state of the
// TPM but failure.
func (d *Device) Properties(ctx context.Context) (Properties, error) {
	o, done := d.begin(ctx)
	defer done()
	p, err := o.properties()
	if err != nil {
		return Properties{}, fmt.Errorf("reading the TPM's properties: %w", err)
	}
	banks, err := o.banks()
	if err != nil {
		return Properties{}, err
	}
	f1, f2 := p[tpm2.TPMPTFirmwareVersion1], p[tpm2.TPMPTFirmwareVersion2]
	return Properties{
		Manufacturer: letters(p[tpm2.TPMPTManufacturer]),
		Vendor: letters(p[tpm2.TPMPTVendorString1], p[tpm2.TPMPTVendorString2],
			p[tpm2.TPMPTVendorString3], p[tpm2.TPMPTVendorString4]),
		Firmware:       fmt.Sprintf("%d.%d.%d.%d", f1>>16, f1&0xffff, f2>>16, f2&0xffff),
		Banks:          bankNames(banks),
		OwnerAuthSet:   p[tpm2.TPMPTPermanent]&permanentOwnerAuthSet != 0,
		LockoutAuthSet: p[tpm2.TPMPTPermanent]&permanentLockoutAuthSet != 0,
	}, nil
}

// properties reads all fixed and variable TPM properties.
func (o *op) properties() (map[tpm2.TPMPT]uint32, error) {
	all := map[tpm2.TPMPT]uint32{}
	for _, first := range []tpm2.TPMPT{tpm2.TPMPTFamilyIndicator, tpm2.TPMPTPermanent} {
		for next, more := first, true; more; {
			rsp, err := tpm2.GetCapability{
				Capability: tpm2.TPMCapTPMProperties, Property: uint32(next), PropertyCount: 64,
			}.Execute(o)
			if err != nil {
				return nil, err
			}
			list, err := rsp.CapabilityData.Data.TPMProperties()
			if err != nil {
				return nil, err
			}
			more = bool(rsp.MoreData) && len(list.TPMProperty) > 0
			for _, p := range list.TPMProperty {
				all[p.Property] = p.Value
				if p.Property < next { // a chip that counts backwards must not keep us here
					more = false
				}
				next = p.Property + 1
			}
			if next >= first+0x100 { // into the next group of properties
				more = false
			}
		}
	}
	return all, nil
}

// letters reads up to four characters of each number.
func letters(values ...uint32) string {
	var b []byte
	for _, v := range values {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	s := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, string(b))
	return strings.TrimSpace(s)
}
