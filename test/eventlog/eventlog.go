// Package eventlog reads the log in which a firmware notes what it measured, so that a
// test can play a start again to another TPM. It must never be used to decide anything:
// the log is not authenticated, and only PCRs that it leads to make it true.
//
//	events, err := eventlog.Parse(log) // /sys/kernel/security/tpm0/binary_bios_measurements
//	for _, e := range events { … }
package eventlog

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// Event is one measurement.
type Event struct {
	PCR    int
	SHA256 []byte // what the PCR of that bank was extended with
}

// ErrCut says that a log ends inside of an event.
var ErrCut = errors.New("the event log is cut off")

const (
	evNoAction = 3      // noted, and not measured
	algSHA256  = 0x000b // TPM_ALG_SHA256
)

// Parse reads a log in the crypto agile form (TCG PC Client Platform Firmware Profile
// 1.05, section 10.2): little endian, the first event in the older form, with the list
// of the banks.
func Parse(log []byte) ([]Event, error) {
	r := &reader{rest: log}
	r.take(4 + 4 + sha1Size) // PCR, kind, digest
	sizes, err := banks(r.take(r.u32()))
	if err != nil {
		return nil, err
	}
	var events []Event
	for len(r.rest) > 0 {
		e := Event{PCR: int(r.u32())}
		kind, count := r.u32(), r.u32()
		for ; count > 0 && !r.cut; count-- {
			bank := r.u16()
			size, known := sizes[bank]
			if !known && !r.cut {
				return nil, fmt.Errorf("the event log has a digest of bank %#x, which it did not announce", bank)
			}
			if digest := r.take(size); bank == algSHA256 {
				e.SHA256 = digest
			}
		}
		r.take(r.u32())
		switch {
		case r.cut:
			return nil, ErrCut
		case kind == evNoAction:
		case len(e.SHA256) != sha256.Size:
			return nil, errors.New("the event log has no SHA-256 digests")
		default:
			events = append(events, e)
		}
	}
	return events, nil
}

const sha1Size = 20

// banks reads the event that begins the log (TCG_EfiSpecIDEvent): signature, platform
// class, four bytes of versions, then the number of banks and each one's name and size.
func banks(spec []byte) (map[uint16]uint32, error) {
	if !bytes.HasPrefix(spec, []byte("Spec ID Event03\x00")) {
		return nil, errors.New("the event log is not in the crypto agile form")
	}
	r := &reader{rest: spec}
	r.take(16 + 4 + 4)
	sizes := map[uint16]uint32{}
	for count := r.u32(); count > 0 && !r.cut; count-- {
		bank := r.u16()
		sizes[bank] = uint32(r.u16())
	}
	if r.cut {
		return nil, ErrCut
	}
	return sizes, nil
}

// reader takes pieces off a log. Behind its end it gives zeros and says so.
type reader struct {
	rest []byte
	cut  bool
}

func (r *reader) take(n uint32) []byte {
	if r.cut = r.cut || uint64(n) > uint64(len(r.rest)); r.cut {
		r.rest = nil
		return nil
	}
	piece := r.rest[:n]
	r.rest = r.rest[n:]
	return piece
}

func (r *reader) u32() uint32 {
	if b := r.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *reader) u16() uint16 {
	if b := r.take(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}
