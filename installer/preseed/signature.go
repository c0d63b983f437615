package preseed

import (
	"bytes"
	"errors"
	"fmt"
	"path"

	"aead.dev/minisign"
)

// SignatureSuffix is what the name of a signature has after that of the file, as
// minisign writes it.
const SignatureSuffix = ".minisig"

// maxSignature bounds a signature file in bytes; one with the longest comments that
// minisign takes is below 10 kB.
const maxSignature = 16 << 10

// PublicKey is who may sign answer files: an Ed25519 key in minisign's format.
type PublicKey struct{ key minisign.PublicKey }

// ReadPublicKey reads a public key as minisign -G writes it, with or without its
// comment line.
func ReadPublicKey(text []byte) (PublicKey, error) {
	var key minisign.PublicKey
	if err := key.UnmarshalText(bytes.TrimSpace(text)); err != nil {
		return PublicKey{}, errors.New("this is no minisign public key (two lines, the second begins with RW)")
	}
	return PublicKey{key}, nil
}

// String names the key by its id, as minisign prints it.
func (k PublicKey) String() string { return fmt.Sprintf("%016X", k.key.ID()) }

// Unsigned says that a file is not signed as it has to be.
type Unsigned struct {
	File   string
	Why    string
	remedy string
}

func (e *Unsigned) Error() string { return e.File + " " + e.Why }

// Remedy says what to do.
func (e *Unsigned) Remedy() string { return e.remedy }

// Verify checks that a file, byte for byte, was signed by the key. signature is the
// content of the .minisig file, empty where there is none. The error is an
// *Unsigned. What the signature cannot say is when: an older file that was signed
// for the same site is as good as a new one.
func (k PublicKey) Verify(name string, data, signature []byte) error {
	sign := fmt.Sprintf("sign it with: minisign -Sm %s, and put %s beside it", path.Base(name), path.Base(name)+SignatureSuffix)
	if len(bytes.TrimSpace(signature)) == 0 {
		return &Unsigned{name, "is not signed, and this image takes only answers signed by " + k.String(), sign}
	}
	var s minisign.Signature
	if len(signature) > maxSignature || s.UnmarshalText(signature) != nil {
		return &Unsigned{name + SignatureSuffix, "is no minisign signature", sign}
	}
	if s.KeyID != k.key.ID() {
		return &Unsigned{name, fmt.Sprintf("is signed by %016X, and this image takes only answers signed by %s", s.KeyID, k), "sign it with that key"}
	}
	if !minisign.Verify(k.key, data, signature) {
		return &Unsigned{name, "was changed after it was signed", "sign it again; some editors and mail programs change line ends"}
	}
	return nil
}
