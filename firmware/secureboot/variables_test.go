package secureboot_test

import (
	"bytes"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stek-edge/stek/firmware/secureboot"
)

func variables(t *testing.T, o secureboot.VariableOptions) secureboot.Variables {
	t.Helper()
	o.Time = epoch
	v, err := keys(t).Variables(o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// lists returns what follows the authentication header of a variable.
func lists(t *testing.T, variable []byte) []byte {
	t.Helper()
	return variable[16+binary.LittleEndian.Uint32(variable[16:]):]
}

// subjects names the certificates of signature lists.
func subjects(t *testing.T, data []byte) []string {
	t.Helper()
	var names []string
	for len(data) > 0 {
		size := binary.LittleEndian.Uint32(data[16:])
		certificate, err := x509.ParseCertificate(data[28+16 : size])
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, certificate.Subject.CommonName)
		data = data[size:]
	}
	return names
}

func TestVariablesHoldTheRightCertificates(t *testing.T) {
	k := keys(t)
	own := func(p secureboot.Pair) string { return p.Certificate.Subject.CommonName }
	for _, c := range []struct {
		name        string
		options     secureboot.VariableOptions
		pk, kek, db []string
	}{
		{"with Microsoft", secureboot.VariableOptions{}, []string{own(k.PK)},
			[]string{own(k.KEK), "Microsoft Corporation KEK CA 2011", "Microsoft Corporation KEK 2K CA 2023"},
			[]string{own(k.DB), "Microsoft Corporation UEFI CA 2011", "Microsoft UEFI CA 2023"}},
		{"without Microsoft", secureboot.VariableOptions{WithoutMicrosoft: true},
			[]string{own(k.PK)}, []string{own(k.KEK)}, []string{own(k.DB)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := variables(t, c.options)
			for _, x := range []struct {
				name string
				data []byte
				want []string
			}{{"PK", v.PK, c.pk}, {"KEK", v.KEK, c.kek}, {"db", v.DB, c.db}} {
				if got := subjects(t, lists(t, x.data)); !slices.Equal(got, x.want) {
					t.Errorf("%s holds %q, want %q", x.name, got, x.want)
				}
			}
			again := variables(t, c.options)
			if !bytes.Equal(v.PK, again.PK) || !bytes.Equal(v.KEK, again.KEK) || !bytes.Equal(v.DB, again.DB) {
				t.Error("made twice, the variables differ")
			}
		})
	}
}

// sbsiglist and sbvarsign make the same structures from the same inputs.
func TestSignatureListAgreesWithSbsiglist(t *testing.T) {
	k := keys(t)
	der := write(t, "pk.der", k.PK.Certificate.Raw)
	out := filepath.Join(t.TempDir(), "pk.esl")
	owner := secureboot.Owner(k.PK.Certificate).String()
	if text, err := exec.Command("sbsiglist", "--owner", owner, "--type", "x509", "--output", out, der).CombinedOutput(); err != nil {
		t.Fatalf("sbsiglist: %v\n%s", err, text)
	}
	want, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if got := lists(t, variables(t, secureboot.VariableOptions{}).PK); !bytes.Equal(got, want) {
		t.Errorf("signature list\n%x, sbsiglist makes\n%x", got, want)
	}
}

// The signature of a variable is checked by openssl, over bytes put together
// here from the specification: name, GUID, attributes, time, lists.
func TestVariableSignature(t *testing.T) {
	k := keys(t)
	v := variables(t, secureboot.VariableOptions{})
	database := []byte{0xcb, 0xb2, 0x19, 0xd7, 0x3a, 0x3d, 0x96, 0x45, 0xa3, 0xbc, 0xda, 0xd0, 0x0e, 0x67, 0x65, 0x6f}
	global := []byte{0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c}
	for _, c := range []struct {
		name   string
		data   []byte
		guid   []byte
		signer secureboot.Pair
	}{
		{"PK", v.PK, global, k.PK},
		{"KEK", v.KEK, global, k.PK},
		{"db", v.DB, database, k.KEK},
	} {
		t.Run(c.name, func(t *testing.T) {
			var covered bytes.Buffer
			for _, r := range c.name {
				covered.Write([]byte{byte(r), 0})
			}
			covered.Write(c.guid)
			covered.Write([]byte{0x27, 0, 0, 0})
			covered.Write(c.data[:16])
			covered.Write(lists(t, c.data))
			signature := c.data[16+24 : 16+binary.LittleEndian.Uint32(c.data[16:])]
			certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.signer.Certificate.Raw})
			out, err := exec.Command("openssl", "smime", "-verify", "-inform", "DER", "-binary",
				"-in", write(t, "signature", contentInfo(signature)), "-content", write(t, "content", covered.Bytes()),
				"-CAfile", write(t, "cert.pem", certificate), "-purpose", "any", "-out", os.DevNull).CombinedOutput()
			if err != nil {
				t.Errorf("openssl: %v\n%s", err, out)
			}
		})
	}
}

// contentInfo wraps a SignedData, which a variable carries bare, for openssl.
func contentInfo(signedData []byte) []byte {
	length := func(n int) []byte { return []byte{0x82, byte(n >> 8), byte(n)} }
	inner := append(append([]byte{0xa0}, length(len(signedData))...), signedData...)
	body := append([]byte{0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02}, inner...)
	return append(append([]byte{0x30}, length(len(body))...), body...)
}

const (
	globalGUID   = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
	databaseGUID = "d719b2cb-3d3a-4596-a3bc-dad00e67656f"
)

// efivars makes a directory that looks like efivarfs.
func efivars(t *testing.T, secureBoot, setupMode byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, value := range map[string]byte{"SecureBoot": secureBoot, "SetupMode": setupMode} {
		if err := os.WriteFile(filepath.Join(dir, name+"-"+globalGUID), []byte{6, 0, 0, 0, value}, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestEnrol(t *testing.T) {
	v := variables(t, secureboot.VariableOptions{})
	dir := efivars(t, 0, 1)
	// A db that somebody left behind is replaced, not appended to.
	if err := os.WriteFile(filepath.Join(dir, "db-"+databaseGUID), []byte{0x27, 0, 0, 0}, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := secureboot.Enrol(dir, v); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]byte{"db-" + databaseGUID: v.DB, "KEK-" + globalGUID: v.KEK, "PK-" + globalGUID: v.PK} {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !bytes.Equal(got, append([]byte{0x27, 0, 0, 0}, want...)) {
			t.Errorf("%s: %d bytes, error %v", name, len(got), err)
		}
	}
}

func TestEnrolRefuses(t *testing.T) {
	v := variables(t, secureboot.VariableOptions{})
	if err := secureboot.Enrol(t.TempDir(), v); !errors.Is(err, secureboot.ErrNotUEFI) {
		t.Errorf("no UEFI: error %v", err)
	}
	dir := efivars(t, 1, 0)
	if err := secureboot.Enrol(dir, v); !errors.Is(err, secureboot.ErrNotSetupMode) {
		t.Errorf("user mode: error %v", err)
	}
	dir = efivars(t, 0, 1)
	v.PK = []byte("garbage")
	if err := secureboot.Enrol(dir, v); err == nil {
		t.Error("garbage was enrolled")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("a refused enrolment wrote variables: %v, %v", entries, err)
	}
}

func TestReadState(t *testing.T) {
	for _, c := range []struct{ secureBoot, setupMode byte }{{0, 0}, {0, 1}, {1, 0}} {
		got, err := secureboot.ReadState(efivars(t, c.secureBoot, c.setupMode))
		if want := (secureboot.State{SecureBoot: c.secureBoot == 1, SetupMode: c.setupMode == 1}); err != nil || got != want {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
	}
}

func TestFilesComeBack(t *testing.T) {
	v := variables(t, secureboot.VariableOptions{})
	dir := t.TempDir()
	for name, data := range v.Files() {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := secureboot.ReadVariables(dir)
	if err != nil || !bytes.Equal(got.PK, v.PK) || !bytes.Equal(got.KEK, v.KEK) || !bytes.Equal(got.DB, v.DB) {
		t.Fatalf("other variables come back, error %v", err)
	}
}
