package secureboot

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"unicode/utf16"

	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/stek-edge/stek/firmware/pe"
)

// Object identifiers of "Windows Authenticode Portable Executable Signature
// Format", section "Authenticode-Specific Structures".
var (
	oidSpcIndirectData = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 1, 4}
	oidSpcPEImageData  = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 1, 15}
)

// ErrNotTrusted says that a file is signed, but not by a trusted certificate,
// or that it was changed after it was signed.
var ErrNotTrusted = errors.New("no valid signature by a trusted key")

// ErrDamaged says that a file was changed after it was signed.
var ErrDamaged = errors.New("the file is not what was signed")

// SignPE returns the UEFI program with one more signature. Equal input and key
// give equal bytes. Signing twice with the same key adds nothing.
func SignPE(image []byte, signer Pair) ([]byte, error) {
	file, err := pe.Parse(image)
	if err != nil {
		return nil, fmt.Errorf("signing a UEFI program: %w", err)
	}
	if _, err := VerifyPE(image, signer.Certificate); err == nil {
		return image, nil
	}
	content, err := spcIndirectData(file.Digest())
	if err != nil {
		return nil, fmt.Errorf("signing a UEFI program: %w", err)
	}
	digest, err := contentDigest(content)
	if err != nil {
		return nil, fmt.Errorf("signing a UEFI program: %w", err)
	}
	data, err := signed{contentType: oidSpcIndirectData, content: content, digest: digest, attributes: true}.signedData(signer)
	if err != nil {
		return nil, fmt.Errorf("signing a UEFI program: %w", err)
	}
	pkcs7, err := wrapSignedData(data)
	if err != nil {
		return nil, fmt.Errorf("signing a UEFI program: %w", err)
	}
	return file.AppendCertificate(pkcs7)
}

// VerifyPE returns the certificate, among the trusted ones, that signed the
// UEFI program. A certificate is trusted by itself, not through a chain: db
// holds the signing certificate. The error wraps [pe.ErrFormat],
// [pe.ErrUnsigned] or [ErrNotTrusted].
func VerifyPE(image []byte, trusted ...*x509.Certificate) (*x509.Certificate, error) {
	file, err := pe.Parse(image)
	if err != nil {
		return nil, err
	}
	signatures, err := file.Certificates()
	if err != nil {
		return nil, err
	}
	want := file.Digest()
	for _, signature := range signatures {
		p, ok := namesDigest(signature, want)
		if !ok {
			continue
		}
		digest, err := contentDigest(p.content)
		if err != nil {
			continue
		}
		if certificate := p.signedBy(digest, trusted); certificate != nil {
			return certificate, nil
		}
	}
	return nil, ErrNotTrusted
}

// CheckDigest tells whether a signature of the UEFI program names the digest that the
// program has, whoever signed: whether it is damaged, not whether it is trusted. The
// error wraps [pe.ErrFormat], [pe.ErrUnsigned] or [ErrDamaged].
func CheckDigest(image []byte) error {
	file, err := pe.Parse(image)
	if err != nil {
		return err
	}
	signatures, err := file.Certificates()
	if err != nil {
		return err
	}
	want := file.Digest()
	for _, signature := range signatures {
		if _, ok := namesDigest(signature, want); ok {
			return nil
		}
	}
	return ErrDamaged
}

// namesDigest parses a signature and tells whether it is one over that digest.
func namesDigest(signature []byte, want [sha256.Size]byte) (*parsed, bool) {
	p, err := parseSignedData(signature)
	if err != nil || !p.contentType.Equal(oidSpcIndirectData) || p.content == nil {
		return nil, false
	}
	got, ok := imageDigest(p.content)
	return p, ok && bytes.Equal(got, want[:])
}

// contentDigest hashes a DER value without its own tag and length, as PKCS#7
// asks for.
func contentDigest(der []byte) ([sha256.Size]byte, error) {
	input := cryptobyte.String(der)
	var content cryptobyte.String
	if !input.ReadASN1(&content, tag.SEQUENCE) || !input.Empty() {
		return [sha256.Size]byte{}, errCMS
	}
	return sha256.Sum256(content), nil
}

// spcIndirectData is the structure that names the digest of the file.
func spcIndirectData(digest [32]byte) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidSpcPEImageData)
			b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1BitString(nil)
				// SpcLink, choice "file", an SpcString in UTF-16: the format
				// asks for this very text.
				b.AddASN1(context0, func(b *cryptobyte.Builder) {
					b.AddASN1(tag.Tag(2).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
						b.AddASN1(tag.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) {
							for _, unit := range utf16.Encode([]rune("<<<Obsolete>>>")) {
								b.AddUint16(unit)
							}
						})
					})
				})
			})
		})
		b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
			addAlgorithm(b, oidSHA256)
			b.AddASN1OctetString(digest[:])
		})
	})
	return b.Bytes()
}

// imageDigest reads the SHA-256 of the file out of an SpcIndirectDataContent.
func imageDigest(der cryptobyte.String) ([]byte, bool) {
	var content, data, info, algorithm, digest cryptobyte.String
	var kind, hash asn1.ObjectIdentifier
	ok := der.ReadASN1(&content, tag.SEQUENCE) &&
		content.ReadASN1(&data, tag.SEQUENCE) && data.ReadASN1ObjectIdentifier(&kind) && kind.Equal(oidSpcPEImageData) &&
		content.ReadASN1(&info, tag.SEQUENCE) && info.ReadASN1(&algorithm, tag.SEQUENCE) &&
		algorithm.ReadASN1ObjectIdentifier(&hash) && hash.Equal(oidSHA256) &&
		info.ReadASN1(&digest, tag.OCTET_STRING)
	return digest, ok
}
