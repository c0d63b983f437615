package secureboot

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"
)

// PKCS#7 version 1.5 (RFC 2315) as far as UEFI needs it: RSA, SHA-256, one
// signer when writing, no time. In this version a content that is not plain
// data is embedded as it is; the later CMS (RFC 5652) wraps it in an octet
// string, which is no Authenticode signature.

var (
	oidData          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidSignedData    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidContentType   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidRSA           = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidSHA256        = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
)

var (
	context0 = tag.Tag(0).ContextSpecific().Constructed()
	context1 = tag.Tag(1).ContextSpecific().Constructed()
)

var errCMS = errors.New("malformed PKCS#7 signature")

func addAlgorithm(b *cryptobyte.Builder, oid asn1.ObjectIdentifier) {
	b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oid)
		b.AddASN1NULL()
	})
}

// signed describes what a SignedData covers.
type signed struct {
	contentType asn1.ObjectIdentifier
	content     []byte // one DER value carried inside; nil for a detached signature
	digest      [sha256.Size]byte
	attributes  bool // sign content type and digest as attributes, as Authenticode asks
}

// signedData makes a DER SignedData, without the ContentInfo around it.
func (s signed) signedData(signer Pair) ([]byte, error) {
	digest := s.digest
	var attributes []byte
	if s.attributes {
		var err error
		if attributes, err = s.signedAttributes(); err != nil {
			return nil, err
		}
		// Signed as a SET, embedded under an implicit tag (RFC 2315, section 9.3).
		var set cryptobyte.Builder
		set.AddASN1(tag.SET, func(b *cryptobyte.Builder) { b.AddBytes(attributes) })
		der, err := set.Bytes()
		if err != nil {
			return nil, err
		}
		digest = sha256.Sum256(der)
	}
	if _, ok := signer.Key.Public().(*rsa.PublicKey); !ok {
		return nil, errors.New("the signing key is not an RSA key")
	}
	signature, err := signer.Key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	certificate := signer.Certificate
	var out cryptobyte.Builder
	out.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		b.AddASN1(tag.SET, func(b *cryptobyte.Builder) { addAlgorithm(b, oidSHA256) })
		b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(s.contentType)
			if s.content != nil {
				b.AddASN1(context0, func(b *cryptobyte.Builder) { b.AddBytes(s.content) })
			}
		})
		b.AddASN1(context0, func(b *cryptobyte.Builder) { b.AddBytes(certificate.Raw) })
		b.AddASN1(tag.SET, func(b *cryptobyte.Builder) {
			b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1Int64(1)
				b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddBytes(certificate.RawIssuer)
					b.AddASN1BigInt(certificate.SerialNumber)
				})
				addAlgorithm(b, oidSHA256)
				if attributes != nil {
					b.AddASN1(context0, func(b *cryptobyte.Builder) { b.AddBytes(attributes) })
				}
				addAlgorithm(b, oidRSA)
				b.AddASN1OctetString(signature)
			})
		})
	})
	return out.Bytes()
}

// signedAttributes are the members of the attribute set in DER order, which is
// the order of their encodings. There is no signing time: Authenticode does
// not ask for one, and it would make every build different.
func (s signed) signedAttributes() ([]byte, error) {
	attribute := func(oid asn1.ObjectIdentifier, value func(b *cryptobyte.Builder)) ([]byte, error) {
		var b cryptobyte.Builder
		b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oid)
			b.AddASN1(tag.SET, value)
		})
		return b.Bytes()
	}
	kind, err := attribute(oidContentType, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(s.contentType) })
	if err != nil {
		return nil, err
	}
	digest, err := attribute(oidMessageDigest, func(b *cryptobyte.Builder) { b.AddASN1OctetString(s.digest[:]) })
	if err != nil {
		return nil, err
	}
	if bytes.Compare(kind, digest) > 0 {
		kind, digest = digest, kind
	}
	return append(kind, digest...), nil
}

// wrapSignedData puts a SignedData into a ContentInfo.
func wrapSignedData(signedData []byte) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oidSignedData)
		b.AddASN1(context0, func(b *cryptobyte.Builder) { b.AddBytes(signedData) })
	})
	return b.Bytes()
}

// signerInfo is one signer of a parsed SignedData.
type signerInfo struct {
	issuer     []byte
	serial     *big.Int
	sha256RSA  bool
	attributes []byte // members of the set; nil if there are none
	signature  []byte
}

// parsed is a SignedData that was read.
type parsed struct {
	contentType asn1.ObjectIdentifier
	content     cryptobyte.String // of the explicit tag around it; nil if detached
	signers     []signerInfo
}

// parseSignedData reads a DER SignedData, with or without a ContentInfo around
// it; zeros behind it are padding.
func parseSignedData(der []byte) (*parsed, error) {
	input := cryptobyte.String(der)
	var body cryptobyte.String
	if !input.ReadASN1(&body, tag.SEQUENCE) || len(bytes.Trim(input, "\x00")) != 0 {
		return nil, errCMS
	}
	if body.PeekASN1Tag(tag.OBJECT_IDENTIFIER) {
		var oid asn1.ObjectIdentifier
		var wrapped cryptobyte.String
		if !body.ReadASN1ObjectIdentifier(&oid) || !oid.Equal(oidSignedData) ||
			!body.ReadASN1(&wrapped, context0) || !wrapped.ReadASN1(&body, tag.SEQUENCE) {
			return nil, errCMS
		}
	}
	var p parsed
	var version int
	var digests, info, signers cryptobyte.String
	var hasContent bool
	if !body.ReadASN1Integer(&version) || !body.ReadASN1(&digests, tag.SET) ||
		!body.ReadASN1(&info, tag.SEQUENCE) || !info.ReadASN1ObjectIdentifier(&p.contentType) ||
		!info.ReadOptionalASN1(&p.content, &hasContent, context0) ||
		!body.SkipOptionalASN1(context0) || !body.SkipOptionalASN1(context1) ||
		!body.ReadASN1(&signers, tag.SET) {
		return nil, errCMS
	}
	if !hasContent {
		p.content = nil
	}
	for !signers.Empty() {
		signer, err := parseSigner(&signers)
		if err != nil {
			return nil, err
		}
		p.signers = append(p.signers, signer)
	}
	return &p, nil
}

func parseSigner(input *cryptobyte.String) (signerInfo, error) {
	var s signerInfo
	var version int
	var info, id, issuer, attributes, digestAlgorithm, keyAlgorithm, signature cryptobyte.String
	var hasAttributes bool
	var digestOID, keyOID asn1.ObjectIdentifier
	s.serial = new(big.Int)
	if !input.ReadASN1(&info, tag.SEQUENCE) || !info.ReadASN1Integer(&version) ||
		!info.ReadASN1(&id, tag.SEQUENCE) || !id.ReadASN1Element(&issuer, tag.SEQUENCE) || !id.ReadASN1Integer(s.serial) ||
		!info.ReadASN1(&digestAlgorithm, tag.SEQUENCE) || !digestAlgorithm.ReadASN1ObjectIdentifier(&digestOID) ||
		!info.ReadOptionalASN1(&attributes, &hasAttributes, context0) ||
		!info.ReadASN1(&keyAlgorithm, tag.SEQUENCE) || !keyAlgorithm.ReadASN1ObjectIdentifier(&keyOID) ||
		!info.ReadASN1(&signature, tag.OCTET_STRING) {
		return signerInfo{}, errCMS
	}
	s.issuer, s.signature = issuer, signature
	s.sha256RSA = digestOID.Equal(oidSHA256) && keyOID.Equal(oidRSA)
	if hasAttributes {
		s.attributes = attributes
	}
	return s, nil
}

// signedBy returns the first of the trusted certificates that signed a content
// with that digest, or nil.
func (p *parsed) signedBy(digest [sha256.Size]byte, trusted []*x509.Certificate) *x509.Certificate {
	for _, s := range p.signers {
		for _, certificate := range trusted {
			key, ok := certificate.PublicKey.(*rsa.PublicKey)
			if !ok || !s.sha256RSA || !bytes.Equal(certificate.RawIssuer, s.issuer) || certificate.SerialNumber.Cmp(s.serial) != 0 {
				continue
			}
			signedDigest, ok := s.signedDigest(p.contentType, digest)
			if ok && rsa.VerifyPKCS1v15(key, crypto.SHA256, signedDigest[:], s.signature) == nil {
				return certificate
			}
		}
	}
	return nil
}

// signedDigest is what the RSA signature covers: the content's digest itself,
// or the attributes, if these name the content's digest and type.
func (s *signerInfo) signedDigest(contentType asn1.ObjectIdentifier, digest [sha256.Size]byte) ([sha256.Size]byte, bool) {
	if s.attributes == nil {
		return digest, true
	}
	var hasType, hasDigest bool
	list := cryptobyte.String(s.attributes)
	for !list.Empty() {
		var attribute, values, value cryptobyte.String
		var oid, kind asn1.ObjectIdentifier
		if !list.ReadASN1(&attribute, tag.SEQUENCE) || !attribute.ReadASN1ObjectIdentifier(&oid) || !attribute.ReadASN1(&values, tag.SET) {
			return digest, false
		}
		switch {
		case oid.Equal(oidContentType):
			if hasType || !values.ReadASN1ObjectIdentifier(&kind) || !kind.Equal(contentType) {
				return digest, false
			}
			hasType = true
		case oid.Equal(oidMessageDigest):
			if hasDigest || !values.ReadASN1(&value, tag.OCTET_STRING) || !bytes.Equal(value, digest[:]) {
				return digest, false
			}
			hasDigest = true
		}
	}
	var set cryptobyte.Builder
	set.AddASN1(tag.SET, func(b *cryptobyte.Builder) { b.AddBytes(s.attributes) })
	der, err := set.Bytes()
	return sha256.Sum256(der), err == nil && hasType && hasDigest
}
