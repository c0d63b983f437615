package vault

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stek-edge/stek/installer/tpm"
	"github.com/stek-edge/stek/test/golden"
)

// testKey is a public key kept in testdata, so that golden files stay the same.
func testKey(t testing.TB) *rsa.PublicKey {
	t.Helper()
	b, err := os.ReadFile("testdata/policy-key.pem")
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key.(*rsa.PublicKey)
}

// sampleTokens are all forms of TPM token that are written here. The sealed
// objects in them are only bytes of a likely length.
func sampleTokens(t testing.TB) map[string]TPM2Token {
	bytesOf := func(c byte, n int) []byte { return bytes.Repeat([]byte{c}, n) }
	base := tpm.Sealed{Blob: bytesOf(1, 230), SRK: bytesOf(2, 136), PolicyHash: bytesOf(3, 32), PrimaryAlg: "ecc", Bank: "sha256"}
	signed, pin, old := base, base, base
	signed.PCRs = []int{7, 12, 15}
	signed.Signed = &tpm.Signed{Key: testKey(t), PCRs: []int{11}}
	signed.Values = tpm.PCRs{7: bytesOf(7, 32), 12: make([]byte, 32), 15: make([]byte, 32)}
	pin.PCRs = []int{4, 7, 11, 12, 15}
	pin.PIN, pin.Salt = true, bytesOf(4, 32)
	old.SRK = nil
	return map[string]TPM2Token{
		"signed":   {Slot: 1, Sealed: signed, Generation: 1, State: StateProvisional},
		"literal":  {Slot: 12, Sealed: pin, Generation: 7, State: StateCandidate, System: "a"},
		"unbound":  {Slot: -1, Sealed: base, Generation: 2, State: StateBound},
		"older":    {Slot: 3, Sealed: old},
		"longest":  {Slot: 31, Sealed: signed, Generation: 1 << 53, State: StateBound, System: "image-2026-11-23"},
		"with-pin": {Slot: 0, Sealed: pin},
	}
}

func TestTPM2TokenGolden(t *testing.T) {
	for name, token := range sampleTokens(t) {
		t.Run(name, func(t *testing.T) {
			text, err := token.Encode()
			if err != nil {
				t.Fatal(err)
			}
			var pretty bytes.Buffer
			if err := json.Indent(&pretty, text, "", "  "); err != nil {
				t.Fatal(err)
			}
			pretty.WriteByte('\n')
			golden.Check(t, "tpm2-"+name+".json", pretty.Bytes())
			back, err := ParseTPM2(text)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(*back, token) && !(len(token.Sealed.PCRs) == 0 && len(back.Sealed.PCRs) == 0) {
				t.Errorf("came back as\n%+v\nwas\n%+v", *back, token)
			}
		})
	}
}

// TestForeignTPM2Tokens reads tokens that systemd wrote.
func TestForeignTPM2Tokens(t *testing.T) {
	files, err := filepath.Glob("testdata/systemd-*.json")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			token, err := ParseTPM2(raw)
			if err != nil {
				t.Fatal(err)
			}
			s := token.Sealed
			if s.PIN != strings.Contains(file, "pin") || (s.Signed != nil) != strings.Contains(file, "signed") || (s.SRK != nil) != strings.Contains(file, "257") {
				t.Errorf("read as %+v", s)
			}
			// Written again it says the same, key by key.
			text, err := token.Encode()
			if err != nil {
				t.Fatal(err)
			}
			var was, is map[string]any
			if err := errors.Join(json.Unmarshal(raw, &was), json.Unmarshal(text, &is)); err != nil {
				t.Fatal(err)
			}
			for key, value := range was {
				if value != false && !reflect.DeepEqual(value, is[key]) {
					t.Errorf("%s: was %v, is %v", key, value, is[key])
				}
			}
		})
	}
}

func TestHostileTPM2Tokens(t *testing.T) {
	good, err := sampleTokens(t)["signed"].Encode()
	if err != nil {
		t.Fatal(err)
	}
	text := string(good)
	start := strings.Index(text, `"tpm2-blob":"`) + len(`"tpm2-blob":"`)
	blob := text[start : start+strings.Index(text[start:], `"`)]
	tests := []struct {
		name, old, new string
		unsupported    bool
	}{
		{"another type", `"systemd-tpm2"`, `"clevis"`, false},
		{"two slots", `["1"]`, `["1","2"]`, false},
		{"slot out of range", `["1"]`, `["32"]`, false},
		{"slot as a number", `["1"]`, `[1]`, false},
		{"no blob", `"tpm2-blob"`, `"tpm2-blub"`, false},
		{"blob not base64", blob, "!!!!", false},
		{"blob empty", blob, "", false},
		{"blob too long", blob, strings.Repeat("AAAA", 4000), false},
		{"blob with a line end", blob[:8], blob[:4] + `\n` + blob[4:8], false},
		{"two shares", `"` + blob + `"`, `["` + blob + `","` + blob + `"]`, true},
		{"no pcrs", `"tpm2-pcrs":[7,12,15],`, ``, false},
		{"PCR twice", `[7,12,15]`, `[7,7]`, false},
		{"PCR 24", `[7,12,15]`, `[24]`, false},
		{"negative PCR", `[7,12,15]`, `[-1]`, false},
		{"PCR as text", `[7,12,15]`, `["7"]`, false},
		{"sha1 bank", `"sha256"`, `"sha1"`, true},
		{"unknown primary", `"ecc"`, `"none"`, false},
		{"short policy hash", `"0303`, `"03`, false},
		{"policy hash not hex", `"0303`, `"zz03`, false},
		{"pin as text", `"tpm2-pin":false`, `"tpm2-pin":"false"`, false},
		{"pcrlock", `"tpm2-pin":false`, `"tpm2-pin":false,"tpm2_pcrlock":true`, true},
		{"pcrlock index", `"tpm2-pin":false`, `"tpm2-pin":false,"tpm2_pcrlock_nv":"AAAA"`, true},
		{"key twice", `"tpm2-pin":false`, `"tpm2-pin":false,"tpm2-pin":true`, false},
		{"key in upper case", `"tpm2-pin":false`, `"tpm2-PIN":true`, false},
		{"no key PCRs", `[11]`, `[]`, false},
		{"not a PEM key", `"tpm2_pubkey":"LS0t`, `"tpm2_pubkey":"AAAA`, false},
		{"unknown state", `"provisional"`, `"trusted"`, false},
		{"generation too large", `"stek-generation":1`, `"stek-generation":18446744073709551615`, false},
		{"negative generation", `"stek-generation":1`, `"stek-generation":-1`, false},
		{"system with a path", `"stek-state"`, `"stek-system":"../etc","stek-state"`, false},
		{"value of another PCR", `"stek-pcr-values":{"12"`, `"stek-pcr-values":{"3"`, false},
		{"cut off", text[len(text)-20:], ``, false},
		{"trailing data", text[len(text)-1:], `}}`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if !strings.Contains(text, tt.old) {
				t.Fatalf("%q is not in %s", tt.old, text)
			}
			i := strings.LastIndex(text, tt.old)
			if tt.name != "trailing data" {
				i = strings.Index(text, tt.old)
			}
			raw := text[:i] + tt.new + text[i+len(tt.old):]
			token, err := ParseTPM2([]byte(raw))
			if err == nil || errors.Is(err, ErrTokenUnsupported) != tt.unsupported {
				t.Errorf("error %v, token accepted: %v", err, token != nil)
			}
			if p := parseToken(0, []byte(raw)); p.Problem == nil && p.TPM2 != nil {
				t.Error("accepted as a token of a volume")
			}
		})
	}
}

func TestUnlockToken(t *testing.T) {
	text, err := UnlockToken{Methods: []Kind{KindTPM2, KindPassphrase}, Generation: 3, Adding: []int{4}}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "unlock.json", append(text, '\n'))
	u, err := ParseUnlock(text)
	if err != nil || u.Generation != 3 || len(u.Methods) != 2 || len(u.Adding) != 1 {
		t.Errorf("came back as %+v, %v", u, err)
	}
	for name, raw := range map[string]string{
		"unknown method":   `{"type":"stek-unlock","keyslots":[],"methods":["tpm3"],"generation":1}`,
		"method twice":     `{"type":"stek-unlock","keyslots":[],"methods":["tpm2","tpm2"],"generation":1}`,
		"recovery in it":   `{"type":"stek-unlock","keyslots":[],"methods":["recovery"],"generation":1}`,
		"with a slot":      `{"type":"stek-unlock","keyslots":["0"],"methods":[],"generation":1}`,
		"unknown key":      `{"type":"stek-unlock","keyslots":[],"methods":[],"generation":1,"run":"x"}`,
		"adding nonsense":  `{"type":"stek-unlock","keyslots":[],"methods":[],"generation":1,"adding":[99]}`,
		"generation":       `{"type":"stek-unlock","keyslots":[],"methods":[],"generation":1e99}`,
		"wrong type":       `{"type":"stek-unlock","keyslots":[],"methods":"tpm2","generation":1}`,
		"of another type":  `{"type":"stek-lock","keyslots":[],"methods":[],"generation":1}`,
		"null":             `null`,
		"deep":             `{"type":"stek-unlock","methods":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`,
		"key in upper key": `{"type":"stek-unlock","keyslots":[],"methods":[],"generation":1,"Methods":["tpm2"]}`,
	} {
		t.Run(name, func(t *testing.T) {
			if u, err := ParseUnlock([]byte(raw)); err == nil {
				t.Errorf("accepted as %+v", u)
			}
		})
	}
}

// TestStockToolsAcceptTokens: cryptsetup takes every token, gives it back with
// the same meaning, and shows the volume.
func TestStockToolsAcceptTokens(t *testing.T) {
	ctx := context.Background()
	m, key := newVolume(t, FormatOptions{Order: []Kind{KindTPM2}})
	auth := []byte(key.Reveal())
	if _, err := m.AddMaintenance(ctx, auth, NewKeyFile()); err != nil {
		t.Fatal(err)
	}
	if _, err := m.AddKeyStick(ctx, auth, NewKeyFile()); err != nil {
		t.Fatal(err)
	}
	if _, err := m.AddPassphrase(ctx, auth, []byte("correct horse")); err != nil {
		t.Fatal(err)
	}
	id := 20
	for name, token := range sampleTokens(t) {
		if token.Slot >= 0 {
			token.Slot = 1 // one that exists
		}
		text, err := token.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if err := m.cryptsetup().importToken(ctx, id, text, false); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		out, err := m.cryptsetup().call(ctx, nil, nil, "token", "export", "--token-id", string([]byte{'0' + byte(id/10), '0' + byte(id%10)}), m.Device)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var was, is map[string]any
		if err := errors.Join(json.Unmarshal(text, &was), json.Unmarshal(out, &is)); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(was, is) {
			t.Errorf("%s: exported as %s", name, out)
		}
		id++
	}
	dump := string(tool(t, nil, "cryptsetup", "luksDump", m.Device))
	for _, typ := range []string{typeTPM2, typeRecovery, typeMaintenance, typeKeyStick, typePassphrase, typeUnlock} {
		if !strings.Contains(dump, typ) {
			t.Errorf("luksDump does not show %s:\n%s", typ, dump)
		}
	}
}

// TestForeignTokensDoNoHarm: tokens of other tools, however odd, never keep the
// volume from being looked at.
func TestForeignTokensDoNoHarm(t *testing.T) {
	m, key := newVolume(t, FormatOptions{})
	c, _, err := pickCopy(bytes.NewReader(readHead(t, m.Device, 1<<20)))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(c.json), `"tokens":{`, `"tokens":{`+
		`"9":{"type":"clevis","keyslots":["0"],"jwe":{"ciphertext":"x"}},`+
		`"10":{"type":"other","keyslots":[],"UPPER":1,"UPPER":2},`+
		`"11":{"type":"systemd-tpm2","keyslots":["0"],"tpm2-pcrs":"none"},`+
		`"12":{"type":"stek-unlock","keyslots":[],"methods":["evil"]},`+
		`"13":{"type":7},"14":null,"15":[],`+
		`"16":{"type":"systemd-recovery","keyslots":["5"]},`, 1)
	writeAt(t, m.Device, pair(c, text, nil), 0)
	h := inspect(t, m)
	for _, token := range h.Tokens {
		bad := token.ID >= 10 && token.ID <= 15
		if (token.Problem != nil) != bad {
			t.Errorf("token %d: problem %v", token.ID, token.Problem)
		}
	}
	if s := h.Slot(0); s.Kind != KindRecovery {
		t.Errorf("slot 0 is %+v", s)
	}
	if opens(t, m, []byte(key.Reveal())) != 0 {
		t.Error("the recovery key does not open the volume")
	}
}
