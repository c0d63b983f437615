package secureboot

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"embed"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
	"unicode/utf16"

	"github.com/google/uuid"
)

// microsoft holds Microsoft's public certificates; see microsoft/README.md for
// where they come from.
//
//go:embed microsoft/*.der
var microsoft embed.FS

// GUIDs of the UEFI specification 2.10: sections 3.3 (global variables), 32.3
// (image security database), 32.4.1 (signature types), 8.2.2 (authentication).
var (
	guidGlobal   = uuid.MustParse("8be4df61-93ca-11d2-aa0d-00e098032b8c")
	guidDatabase = uuid.MustParse("d719b2cb-3d3a-4596-a3bc-dad00e67656f")
	guidX509     = uuid.MustParse("a5c059a1-94e4-4aa7-87b5-ab155c2bf072")
	guidPKCS7    = uuid.MustParse("4aafd29d-68df-49ee-8aa9-347d375665a7")
	// guidMicrosoft is the owner under which Microsoft's certificates are
	// listed everywhere (Microsoft, "Windows Secure Boot Key Creation and
	// Management Guidance").
	guidMicrosoft = uuid.MustParse("77fa9abd-0359-4d32-bd60-28f4e78f784b")
)

// Attributes of key variables: non-volatile, visible to boot services and at
// run time, authenticated by time (UEFI 2.10, section 8.2).
const keyVariableAttributes = 0x01 | 0x02 | 0x04 | 0x20

// Header of a WIN_CERTIFICATE_UEFI_GUID: length, revision, type, GUID.
const (
	winCertificateHeader = 24
	winCertTypeEFIGUID   = 0x0ef1
	winCertRevision      = 0x0200
	efiTimeSize          = 16
)

// variable names a key variable.
type variable struct {
	name string
	guid uuid.UUID
}

// keyVariables are written in this order: once PK is there the firmware asks
// for signatures by KEK.
var keyVariables = []variable{{"db", guidDatabase}, {"KEK", guidGlobal}, {"PK", guidGlobal}}

// VariableOptions says what [Keys.Variables] puts into the variables.
type VariableOptions struct {
	// Time is signed into the variables, in seconds. Firmware refuses to
	// replace a variable by one that is not newer, so a later set of the same
	// keys needs a later time.
	Time time.Time
	// WithoutMicrosoft leaves Microsoft's certificates out of db and KEK.
	WithoutMicrosoft bool
}

// Variables are the authenticated variables that take over a machine in Setup
// Mode: each an EFI_VARIABLE_AUTHENTICATION_2 followed by signature lists, the
// form of the *.auth files that systemd-boot enrols.
type Variables struct {
	PK, KEK, DB []byte
}

func (v Variables) content(name string) []byte {
	return map[string][]byte{"PK": v.PK, "KEK": v.KEK, "db": v.DB}[name]
}

// Files are the variables under the names that systemd-boot looks for in a
// subdirectory of loader/keys on the ESP.
func (v Variables) Files() map[string][]byte {
	files := make(map[string][]byte)
	for _, kv := range keyVariables {
		files[kv.name+".auth"] = v.content(kv.name)
	}
	return files
}

// ReadVariables reads what [Variables.Files] names from a directory, such as
// loader/keys/auto of a mounted ESP. It checks form and size, not signatures:
// that is the firmware's job.
func ReadVariables(dir string) (Variables, error) {
	var v Variables
	for name, to := range map[string]*[]byte{"PK": &v.PK, "KEK": &v.KEK, "db": &v.DB} {
		path := filepath.Join(dir, name+".auth")
		data, err := os.ReadFile(path)
		if err != nil {
			return Variables{}, fmt.Errorf("reading Secure Boot keys to enrol: %w", err)
		}
		if err := checkAuthenticated(data); err != nil {
			return Variables{}, fmt.Errorf("%s: %w", path, err)
		}
		*to = data
	}
	return v, nil
}

// maxVariable is far above what a few certificates need and below what
// firmware stores.
const maxVariable = 64 << 10

func checkAuthenticated(data []byte) error {
	if len(data) > maxVariable || len(data) < efiTimeSize+winCertificateHeader {
		return fmt.Errorf("%d bytes are no authenticated variable", len(data))
	}
	header := data[efiTimeSize:]
	length := uint64(binary.LittleEndian.Uint32(header))
	guid := header[8:winCertificateHeader]
	if length < winCertificateHeader || length > uint64(len(header)) ||
		binary.LittleEndian.Uint16(header[6:]) != winCertTypeEFIGUID || !bytes.Equal(guid, mixedEndian(guidPKCS7)) {
		return errors.New("no authenticated variable in the form of EFI_VARIABLE_AUTHENTICATION_2")
	}
	return nil
}

// Variables makes the three variables for these keys. PK and KEK are signed
// with the PK, db with the KEK, so the same files also update a machine that
// already has these keys.
func (k *Keys) Variables(options VariableOptions) (Variables, error) {
	owner := Owner(k.PK.Certificate)
	pk := signatureList(owner, k.PK.Certificate.Raw)
	kek := signatureList(owner, k.KEK.Certificate.Raw)
	db := signatureList(owner, k.DB.Certificate.Raw)
	if !options.WithoutMicrosoft {
		for _, add := range []struct {
			name string
			to   *[]byte
		}{
			{"kek-ca-2011", &kek}, {"kek-2k-ca-2023", &kek},
			{"uefi-ca-2011", &db}, {"uefi-ca-2023", &db},
		} {
			der, err := microsoft.ReadFile("microsoft/" + add.name + ".der")
			if err != nil {
				return Variables{}, fmt.Errorf("reading Microsoft's certificate: %w", err)
			}
			*add.to = append(*add.to, signatureList(guidMicrosoft, der)...)
		}
	}
	var v Variables
	for _, item := range []struct {
		variable variable
		lists    []byte
		signer   Pair
		to       *[]byte
	}{
		{keyVariables[0], db, k.KEK, &v.DB},
		{keyVariables[1], kek, k.PK, &v.KEK},
		{keyVariables[2], pk, k.PK, &v.PK},
	} {
		signed, err := authenticate(item.variable, item.lists, options.Time, item.signer)
		if err != nil {
			return Variables{}, fmt.Errorf("signing the variable %s: %w", item.variable.name, err)
		}
		*item.to = signed
	}
	return v, nil
}

// Owner is the GUID under which a fleet's certificates are listed: derived
// from its platform key, so that it never changes and needs no file.
func Owner(pk *x509.Certificate) uuid.UUID {
	sum := sha256.Sum256(pk.Raw)
	var id uuid.UUID
	copy(id[:], sum[:])
	id[6] = id[6]&0x0f | 0x80 // version 8: free form (RFC 9562, section 5.8)
	id[8] = id[8]&0x3f | 0x80
	return id
}

// signatureList is an EFI_SIGNATURE_LIST with one X.509 certificate (UEFI
// 2.10, section 32.4.1). Certificates differ in size, so each has its own list.
func signatureList(owner uuid.UUID, certificate []byte) []byte {
	const header = 28
	var b bytes.Buffer
	b.Write(mixedEndian(guidX509))
	size := uint32(len(owner) + len(certificate))
	for _, v := range []uint32{header + size, 0, size} {
		b.Write(binary.LittleEndian.AppendUint32(nil, v))
	}
	b.Write(mixedEndian(owner))
	b.Write(certificate)
	return b.Bytes()
}

// authenticate puts an EFI_VARIABLE_AUTHENTICATION_2 in front of the lists. It
// signs name ‖ GUID ‖ attributes ‖ time ‖ lists (UEFI 2.10, section 8.2.2);
// the name is UTF-16 without a terminating NUL.
func authenticate(v variable, lists []byte, at time.Time, signer Pair) ([]byte, error) {
	stamp := efiTime(at)
	var covered bytes.Buffer
	for _, unit := range utf16.Encode([]rune(v.name)) {
		covered.Write(binary.LittleEndian.AppendUint16(nil, unit))
	}
	covered.Write(mixedEndian(v.guid))
	covered.Write(binary.LittleEndian.AppendUint32(nil, keyVariableAttributes))
	covered.Write(stamp)
	covered.Write(lists)
	signature, err := signed{contentType: oidData, digest: sha256.Sum256(covered.Bytes())}.signedData(signer)
	if err != nil {
		return nil, err
	}
	out := bytes.NewBuffer(stamp)
	out.Write(binary.LittleEndian.AppendUint32(nil, uint32(winCertificateHeader+len(signature))))
	out.Write(binary.LittleEndian.AppendUint16(nil, winCertRevision))
	out.Write(binary.LittleEndian.AppendUint16(nil, winCertTypeEFIGUID))
	out.Write(mixedEndian(guidPKCS7))
	out.Write(signature)
	out.Write(lists)
	return out.Bytes(), nil
}

// efiTime encodes an EFI_TIME in UTC. Everything but date and time of day has
// to be zero in an authenticated variable.
func efiTime(t time.Time) []byte {
	t = t.UTC()
	b := make([]byte, efiTimeSize)
	binary.LittleEndian.PutUint16(b, uint16(t.Year()))
	b[2], b[3] = byte(t.Month()), byte(t.Day())
	b[4], b[5], b[6] = byte(t.Hour()), byte(t.Minute()), byte(t.Second())
	return b
}

// mixedEndian is a GUID as UEFI stores it: the first three fields little-endian.
func mixedEndian(id uuid.UUID) []byte {
	return []byte{
		id[3], id[2], id[1], id[0], id[5], id[4], id[7], id[6],
		id[8], id[9], id[10], id[11], id[12], id[13], id[14], id[15],
	}
}
