package preseed

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"filippo.io/age"
)

// encrypt makes a secrets file to a new key.
func encrypt(t testing.TB, text string) ([]byte, age.Identity) {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, identity.Recipient())
	if err == nil {
		_, err = w.Write([]byte(text))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), identity
}

// TestReadValues reads secrets files that the stock age 1.1 has encrypted.
func TestReadValues(t *testing.T) {
	keys, err := os.Open("testdata/secrets/key.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Close()
	key, err := KeyFile(keys)
	if err != nil {
		t.Fatal(err)
	}
	passphrase, err := Passphrase("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := Passphrase("battery staple")
	if err != nil {
		t.Fatal(err)
	}
	_, stranger := encrypt(t, "")
	for name, test := range map[string]struct {
		file     string
		identity []age.Identity
		asks     bool
		fault    string
	}{
		"to a key":          {"key.age", key, false, ""},
		"in text form":      {"armored.age", key, false, ""},
		"with a passphrase": {"passphrase.age", []age.Identity{passphrase}, true, ""},
		"wrong passphrase":  {"passphrase.age", []age.Identity{wrong}, true, "was encrypted with a passphrase, and this is not the one"},
		"wrong key":         {"key.age", []age.Identity{stranger}, false, "was not encrypted to this key"},
		"key for a word":    {"passphrase.age", key, true, "was encrypted with a passphrase"},
		"no key":            {"key.age", nil, false, "neither a key nor a passphrase"},
	} {
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile("testdata/secrets/" + test.file)
			if err != nil {
				t.Fatal(err)
			}
			if WantsPassphrase(data) != test.asks {
				t.Errorf("asks for a passphrase: %v", !test.asks)
			}
			values, err := ReadValues("secrets.age", data, test.identity...)
			if test.fault != "" {
				if err == nil || !strings.Contains(err.Error(), test.fault) {
					t.Errorf("error %v, want %s", err, test.fault)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(values) != 3 || values["hall-wifi"].Reveal() != "glass house 7" || values["two-lines"].Reveal() != "first\nsecond" {
				t.Errorf("%d values", len(values))
			}
		})
	}
	whole, err := os.ReadFile("testdata/secrets/key.age")
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(whole) {
		if _, err := ReadValues("secrets.age", whole[:cut], key...); err == nil {
			t.Fatalf("the first %d bytes of a secrets file are taken", cut)
		}
	}
}

// TestBrokenValues puts a canary into broken secrets files: every fault tells its
// place, and none what it found there.
func TestBrokenValues(t *testing.T) {
	const canary = "canary77"
	for name, test := range map[string]struct{ text, want string }{
		"no name":           {canary, "s:1:1: this is no list of secrets; write NAME: value on each line"},
		"empty":             {"", "s:1:1: the file is empty; write NAME: value on each line"},
		"only a comment":    {"# " + canary, "s:1:1: the file is empty; write NAME: value on each line"},
		"list":              {"- " + canary, "s:1:1: this is no list of secrets; write NAME: value on each line"},
		"value in front":    {"Canary77: x", "s:1:1: this is no name for a secret; use small letters, digits, dots and dashes: hall-wifi"},
		"number":            {"pin: 271828", "s:1:6: pin: expected text, found a number; put the value in quotes"},
		"nothing":           {"pin:", "s:1:1: pin: no value; write a value, or remove the line"},
		"section":           {"pin: {a: " + canary + "}", "s:1:6: pin: expected text, found a section; put the value in quotes"},
		"twice":             {"pin: " + canary + "\npin: other", "s:2:1: \"pin\" is given twice; keep one of them"},
		"quote without end": {"pin: \"" + canary, `s:1:6: text that begins with " has no end; close the quote with "`},
		"two colons":        {"pin: a: " + canary, `s:1:6: a second ": " on one line; put the text in quotes, or begin a new line`},
		"alias":             {"pin: *" + canary, `s:1:6: aliases (*name) are not used in answer files; write the value out; text that begins with this mark needs quotes`},
		"NUL":               {"pin: " + canary + "\x00", "s:1:14: control character U+0000; remove it: is this a text file?"},
	} {
		t.Run(name, func(t *testing.T) {
			data, identity := encrypt(t, test.text+"\n")
			values, err := ReadValues("s", data, identity)
			if err == nil || values != nil {
				t.Fatalf("taken: %v", err)
			}
			if err.Error() != test.want {
				t.Errorf("got\n%v\nwant\n%s", err, test.want)
			}
			if strings.Contains(strings.ToLower(err.Error()), canary) {
				t.Error("the error shows a secret")
			}
		})
	}
}

// TestResolve puts values where they are asked for.
func TestResolve(t *testing.T) {
	text := `stek: 1
node: {admin: {password-hash: secret:admin}}
encryption: {tpm2: {pin: secret:pin}, recovery: {show: true}}
network:
  links:
    - {name: hall, wifi: {ssid: Kas 7, security: wpa3, psk: secret:hall-wifi}}
secrets: {file: secrets.age}
`
	file, err := Read("f", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	a, err := file.For(Machine{})
	if err != nil {
		t.Fatal(err)
	}
	if !NeedsSecrets(a) {
		t.Error("no secrets are needed")
	}
	good := Values{"admin": "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$6foLM1JhGupouWKMU70wxK61Kw9ZnecbACjJwRadqM2", "pin": "271828", "hall-wifi": "glass house 7", "unused": "x"}
	full, err := file.Resolve(Machine{}, a, good)
	if err != nil {
		t.Fatal(err)
	}
	if full.Encryption.TPM2.PIN != "271828" || full.Network.Links[0].WiFi.PSK != "glass house 7" || full.Node.Admin.PasswordHash != good["admin"] || NeedsSecrets(full) {
		t.Error("the values are not where they belong")
	}
	if a.Encryption.TPM2.PIN != "secret:pin" || a.Network.Links[0].WiFi.PSK != "secret:hall-wifi" {
		t.Error("the answers given were changed")
	}
	_, err = file.Resolve(Machine{}, a, Values{"admin": "hunter22", "pin": "secret:other", "other": "x"})
	want := `f:2:31: node.admin.password-hash: this is no crypt(3) hash; a plain password is never taken ("admin" in the secrets file); make one with: mkpasswd -m yescrypt
f:3:26: encryption.tpm2.pin: "pin" in the secrets file is a reference itself; write the value there
f:6:61: network.links[0].wifi.psk: the secrets file holds no "hall-wifi"; add it there`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	_, err = file.Resolve(Machine{}, a, Values{"admin": good["admin"], "pin": good["pin"], "hal-wifi": "x"})
	if err == nil || !strings.Contains(err.Error(), "did you mean secret:hal-wifi?") {
		t.Errorf("a name that is near: %v", err)
	}
	// What only shows once the value is known.
	_, err = file.Resolve(Machine{}, a, Values{"admin": good["admin"], "pin": good["pin"], "hall-wifi": Secret(strings.Repeat("ab", 32))})
	if err == nil || !strings.Contains(err.Error(), "f:6:61: network.links[0].wifi.psk: wpa3 needs the password itself") {
		t.Errorf("a derived key: %v", err)
	}
}

// FuzzValues looks for panics and for files that are taken without a value.
func FuzzValues(f *testing.F) {
	for _, text := range []string{"a: b", "a: |\n  b\n", "a: &x b\nc: *x", "? a\n: b", "{a: b}", "a:\n", "\x00", "a: 'b", "- a"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		values, err := parseValues("s", data)
		if (values == nil) == (err == nil) {
			t.Fatalf("%v, %v", values, err)
		}
		for name, value := range values {
			if checkSecretName(name) != nil || len(value) > len(data) {
				t.Errorf("name %q, %d bytes", name, len(value))
			}
		}
	})
}
