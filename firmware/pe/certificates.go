package pe

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// The certificate table: WIN_CERTIFICATE entries (UEFI 2.10, section 32.2.4),
// each starting at a multiple of 8.
const (
	certHeaderSize = 8
	certAlignment  = 8
	certRevision   = 0x0200
	certTypePKCS7  = 0x0002 // WIN_CERT_TYPE_PKCS_SIGNED_DATA
)

// ErrUnsigned says that a file carries no signature at all.
var ErrUnsigned = errors.New("the file is not signed")

// Digest is the Authenticode SHA-256 of the file ("Windows Authenticode
// Portable Executable Signature Format", section "Calculating the PE Image
// Hash"): everything but the checksum, the data directory entry of the
// certificate table, and that table. A file whose length is no multiple of 8
// is hashed with the zeros that signing adds.
func (f *File) Digest() [32]byte {
	checksum := f.optional + checksumField
	h := sha256.New()
	h.Write(f.raw[:checksum])
	rest := checksum + 4
	if f.hasCertSlot {
		slot := f.certSlot()
		h.Write(f.raw[rest:slot])
		rest = slot + dataDirectorySize
	}
	end := len(f.raw)
	if f.certSize > 0 {
		end = f.certOffset
	}
	h.Write(f.raw[rest:end])
	h.Write(make([]byte, padding(end)))
	return [32]byte(h.Sum(nil))
}

func (f *File) certSlot() int {
	return f.optional + optionalFixedSize + certDirectory*dataDirectorySize
}

func padding(n int) int { return (certAlignment - n%certAlignment) % certAlignment }

// Certificates returns the PKCS#7 signatures of the certificate table, in file
// order. Entries of another kind are left out. It is [ErrUnsigned] if the file
// has no table.
func (f *File) Certificates() ([][]byte, error) {
	if f.certSize == 0 {
		return nil, ErrUnsigned
	}
	var signatures [][]byte
	table := f.raw[f.certOffset : f.certOffset+f.certSize]
	for len(table) >= certHeaderSize {
		length := uint64(binary.LittleEndian.Uint32(table))
		if length < certHeaderSize || length > uint64(len(table)) {
			return nil, formatError("certificate of %d bytes in a table with %d left", length, len(table))
		}
		if binary.LittleEndian.Uint16(table[4:]) == certRevision && binary.LittleEndian.Uint16(table[6:]) == certTypePKCS7 {
			signatures = append(signatures, table[certHeaderSize:length:length])
		}
		step := length + uint64(padding(int(length)))
		table = table[min(step, uint64(len(table))):]
	}
	return signatures, nil
}

// AppendCertificate returns a copy of the file with one more PKCS#7 signature
// in its certificate table. The signature has to cover [File.Digest].
func (f *File) AppendCertificate(pkcs7 []byte) ([]byte, error) {
	if !f.hasCertSlot {
		return nil, fmt.Errorf("adding a signature: the headers have no certificate table entry")
	}
	start := f.certOffset
	if f.certSize == 0 {
		start = len(f.raw) + padding(len(f.raw))
	}
	length := certHeaderSize + len(pkcs7)
	out := make([]byte, 0, len(f.raw)+length+2*certAlignment)
	out = append(out, f.raw...)
	out = append(out, make([]byte, padding(len(out)))...)
	var header [certHeaderSize]byte
	// The length counts the padding, as signing tools do: some firmware does
	// not round it up itself when it looks for the next entry.
	binary.LittleEndian.PutUint32(header[:], uint32(length+padding(length)))
	binary.LittleEndian.PutUint16(header[4:], certRevision)
	binary.LittleEndian.PutUint16(header[6:], certTypePKCS7)
	out = append(out, header[:]...)
	out = append(out, pkcs7...)
	out = append(out, make([]byte, padding(length))...)
	if len(out) > MaxFileSize {
		return nil, fmt.Errorf("adding a signature: the file would have %d bytes", len(out))
	}
	slot := f.certSlot()
	binary.LittleEndian.PutUint32(out[slot:], uint32(start))
	binary.LittleEndian.PutUint32(out[slot+4:], uint32(len(out)-start))
	f.putChecksum(out)
	return out, nil
}
