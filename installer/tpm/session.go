package tpm

import (
	"bytes"
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// session is a salted session with AES-128-CFB parameter encryption, SHA-256 throughout
// (part 1, sections 19 and 21). It implements go-tpm's Session; see the package comment
// for why it is not go-tpm's.
type session struct {
	handle                tpm2.TPMHandle
	key                   []byte // session key, from the salt
	nonceCaller, nonceTPM []byte
	saltedTo              []byte // name of the key that the salt was encrypted to

	// Of the next command:
	auth            []byte // value of the authorised entity, trailing zeros trimmed; not kept
	encryptCommand  bool   // the first command parameter is secret
	encryptResponse bool   // the first response parameter is secret
	audit           bool   // only proof that the TPM answered; for commands without an own session
}

var errSessionHMAC = errors.New("the session's proof (HMAC) is wrong")

// startSession starts a session of the given kind, salted to key.
func (o *op) startSession(kind tpm2.TPMSE, key *storageKey) (*session, error) {
	enc, err := tpm2.ImportEncapsulationKey(&key.public)
	if err != nil {
		return nil, fmt.Errorf("the storage key cannot be encrypted to: %w", err)
	}
	salt, encSalt, err := tpm2.CreateEncryptedSalt(rand.Reader, enc)
	if err != nil {
		return nil, fmt.Errorf("encrypting the session's salt: %w", err)
	}
	defer clear(salt)
	nonce := make([]byte, crypto.SHA256.Size())
	rand.Read(nonce)
	rsp, err := tpm2.StartAuthSession{
		TPMKey:        tpm2.NamedHandle{Handle: key.handle, Name: tpm2.TPM2BName{Buffer: key.name}},
		Bind:          tpm2.TPMRHNull,
		NonceCaller:   tpm2.TPM2BNonce{Buffer: nonce},
		EncryptedSalt: tpm2.TPM2BEncryptedSecret{Buffer: encSalt},
		SessionType:   kind,
		Symmetric: tpm2.TPMTSymDef{
			Algorithm: tpm2.TPMAlgAES,
			KeyBits:   tpm2.NewTPMUSymKeyBits(tpm2.TPMAlgAES, tpm2.TPMKeyBits(128)),
			Mode:      tpm2.NewTPMUSymMode(tpm2.TPMAlgAES, tpm2.TPMAlgCFB),
		},
		AuthHash: tpm2.TPMAlgSHA256,
	}.Execute(o)
	if err != nil {
		return nil, fmt.Errorf("starting a session: %w", err)
	}
	return &session{
		handle: tpm2.TPMHandle(rsp.SessionHandle.HandleValue()),
		// Part 1, section 19.6.8. The session is not bound, so the salt is the whole key.
		key:         tpm2.KDFa(crypto.SHA256, salt, "ATH", rsp.NonceTPM.Buffer, nonce, crypto.SHA256.Size()*8),
		nonceCaller: nonce,
		nonceTPM:    rsp.NonceTPM.Buffer,
		saltedTo:    key.name,
	}, nil
}

// use sets up the session for the next command.
func (s *session) use(auth []byte, encryptCommand, encryptResponse bool) *session {
	s.auth, s.encryptCommand, s.encryptResponse, s.audit = auth, encryptCommand, encryptResponse, false
	return s
}

// forget wipes the key.
func (s *session) forget() { clear(s.key) }

func (s *session) Init(transport.TPM) error           { return nil } // startSession did it
func (s *session) CleanupFailure(transport.TPM) error { return nil } // its owner flushes it
func (s *session) NonceTPM() tpm2.TPM2BNonce          { return tpm2.TPM2BNonce{Buffer: s.nonceTPM} }
func (s *session) IsEncryption() bool                 { return s.encryptResponse }
func (s *session) IsDecryption() bool                 { return s.encryptCommand }
func (s *session) Handle() tpm2.TPMHandle             { return s.handle }

func (s *session) NewNonceCaller() error {
	s.nonceCaller = make([]byte, crypto.SHA256.Size())
	rand.Read(s.nonceCaller)
	return nil
}

// Authorize makes the session's part of a command.
func (s *session) Authorize(cc tpm2.TPMCC, parms, addNonces []byte, names []tpm2.TPM2BName, _ int) (*tpm2.TPMSAuthCommand, error) {
	var cp bytes.Buffer // part 1, section 18.7: cpHash
	binary.Write(&cp, binary.BigEndian, cc)
	for _, n := range names {
		cp.Write(n.Buffer)
	}
	cp.Write(parms)
	attrs := tpm2.TPMASession{ContinueSession: true, Decrypt: s.encryptCommand, Encrypt: s.encryptResponse, Audit: s.audit}
	return &tpm2.TPMSAuthCommand{
		Handle:        s.handle,
		Nonce:         tpm2.TPM2BNonce{Buffer: s.nonceCaller},
		Attributes:    attrs,
		Authorization: tpm2.TPM2BData{Buffer: s.mac(cp.Bytes(), s.nonceCaller, s.nonceTPM, addNonces, attrs)},
	}, nil
}

// Validate checks the session's part of a response.
func (s *session) Validate(rc tpm2.TPMRC, cc tpm2.TPMCC, parms []byte, _ []tpm2.TPM2BName, _ int, auth *tpm2.TPMSAuthResponse) error {
	var rp bytes.Buffer // part 1, section 18.8: rpHash
	binary.Write(&rp, binary.BigEndian, rc)
	binary.Write(&rp, binary.BigEndian, cc)
	rp.Write(parms)
	s.nonceTPM = auth.Nonce.Buffer
	want := s.mac(rp.Bytes(), s.nonceTPM, s.nonceCaller, nil, auth.Attributes)
	if !hmac.Equal(want, auth.Authorization.Buffer) {
		return errSessionHMAC
	}
	return nil
}

// mac is the authorisation HMAC (part 1, section 19.6.5) over the hash of params.
func (s *session) mac(params, newer, older, addNonces []byte, attrs tpm2.TPMASession) []byte {
	h := crypto.SHA256.New()
	h.Write(params)
	m := hmac.New(crypto.SHA256.New, s.authKey())
	m.Write(h.Sum(nil))
	m.Write(newer)
	m.Write(older)
	m.Write(addNonces)
	m.Write([]byte{sessionAttributes(attrs)})
	return m.Sum(nil)
}

func (s *session) authKey() []byte {
	return append(append(make([]byte, 0, len(s.key)+len(s.auth)), s.key...), s.auth...)
}

// Encrypt encrypts the first command parameter in place.
func (s *session) Encrypt(param []byte) error {
	if !s.encryptCommand {
		return nil
	}
	block, iv, err := s.cfb(s.nonceCaller, s.nonceTPM)
	if err != nil {
		return err
	}
	//lint:ignore SA1019 the specification asks for CFB; the HMAC authenticates it
	cipher.NewCFBEncrypter(block, iv).XORKeyStream(param, param)
	return nil
}

// Decrypt decrypts the first response parameter in place.
func (s *session) Decrypt(param []byte) error {
	if !s.encryptResponse {
		return nil
	}
	block, iv, err := s.cfb(s.nonceTPM, s.nonceCaller)
	if err != nil {
		return err
	}
	//lint:ignore SA1019 the specification asks for CFB; the HMAC authenticates it
	cipher.NewCFBDecrypter(block, iv).XORKeyStream(param, param)
	return nil
}

// cfb gives key and IV of one parameter (part 1, section 21.3).
func (s *session) cfb(newer, older []byte) (cipher.Block, []byte, error) {
	const keyBytes, ivBytes = 128 / 8, aes.BlockSize
	keyIV := tpm2.KDFa(crypto.SHA256, s.authKey(), "CFB", newer, older, (keyBytes+ivBytes)*8)
	block, err := aes.NewCipher(keyIV[:keyBytes])
	return block, keyIV[keyBytes:], err
}

// sessionAttributes is TPMA_SESSION as the byte it is on the wire (part 2, section 8.4).
func sessionAttributes(a tpm2.TPMASession) byte {
	var b byte
	for i, set := range []bool{a.ContinueSession, a.AuditExclusive, a.AuditReset, false, false, a.Decrypt, a.Encrypt, a.Audit} {
		if set {
			b |= 1 << i
		}
	}
	return b
}

// withSession runs f with the device's HMAC session. The session is started when first
// needed, and once more if the TPM does not know it any longer (an emulator was reset).
func (o *op) withSession(doing string, f func(*session) error) error {
	for {
		fresh, err := o.ensureSession()
		if err != nil {
			return fmt.Errorf("%s: %w", doing, err)
		}
		err = f(o.d.sess)
		if err == nil {
			return nil
		}
		if !isRC(err, tpm2.TPMRCReferenceS0, tpm2.TPMRCReferenceS1) {
			o.dropSession() // after a failure the two sides may not agree on the last nonces
			if errors.Is(err, errSessionHMAC) {
				return &BusError{Doing: doing, Err: err}
			}
			return fmt.Errorf("%s: %w", doing, err)
		}
		o.dropSession()
		if fresh {
			return fmt.Errorf("%s: %w", doing, err)
		}
	}
}

// ensureSession makes sure that there is a session, salted to the pinned key if one is
// pinned, and tells whether it is a new one.
func (o *op) ensureSession() (fresh bool, err error) {
	if s := o.d.sess; s != nil && (o.d.pinned == nil || bytes.Equal(s.saltedTo, o.d.pinned.name)) {
		return false, nil
	}
	o.dropSession()
	key, err := o.saltKey()
	if err != nil {
		return false, err
	}
	defer key.release(o)
	o.d.sess, err = o.startSession(tpm2.TPMSEHMAC, key)
	return true, err
}

func (o *op) dropSession() {
	if o.d.sess != nil {
		clean := &op{ctx: context.WithoutCancel(o.ctx), d: o.d}
		clean.flush(o.d.sess.handle)
		o.d.sess.forget()
		o.d.sess = nil
	}
}
