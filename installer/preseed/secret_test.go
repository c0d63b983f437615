package preseed

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// TestSecretNeverPrints tries every way in which values usually leave a program.
func TestSecretNeverPrints(t *testing.T) {
	const canary = "Zx9-canary"
	type holder struct {
		Direct  Secret            `json:"direct" yaml:"direct"`
		Pointer *Secret           `json:"pointer" yaml:"pointer"`
		List    []Secret          `json:"list" yaml:"list"`
		Map     map[string]Secret `json:"map" yaml:"map" xml:"-"`
	}
	s := Secret(canary)
	h := holder{s, &s, []Secret{s}, map[string]Secret{"a": s}}
	outputs := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%10s", "%.3s", "%t", "%T"} {
		outputs["value "+verb] = fmt.Sprintf(verb, s)
		outputs["pointer "+verb] = fmt.Sprintf(verb, &s)
		outputs["struct "+verb] = fmt.Sprintf(verb, h)
	}
	outputs["error"] = fmt.Errorf("checking %v: %w", s, fmt.Errorf("%s", h.Direct)).Error()
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", s, "struct", h, "pointer", &s)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", s, "struct", h, "pointer", &s)
	outputs["slog"] = log.String()
	for name, marshal := range map[string]func(any) ([]byte, error){"json": json.Marshal, "yaml": yaml.Marshal, "xml": xml.Marshal} {
		text, err := marshal(h)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		outputs[name] = string(text)
	}
	hexCanary := fmt.Sprintf("%x", canary)
	for name, text := range outputs {
		if lower := strings.ToLower(text); strings.Contains(lower, strings.ToLower(canary)) ||
			strings.Contains(strings.ReplaceAll(lower, " ", ""), hexCanary) || strings.Contains(lower, "zx9") {
			t.Errorf("%s prints the secret: %s", name, text)
		}
	}
	if s.Reveal() != canary || Secret("").String() != "" || !strings.Contains(outputs["json"], redacted) {
		t.Error("Secret does not hold or mark what it should")
	}
}

// secretName recognises fields that hold secrets by their name.
var secretName = regexp.MustCompile(`(?i)pin$|pass|key|hash|secret|token|psk`)

// notSecret are the keys that only look like it.
var notSecret = map[string]bool{"node.admin.ssh-keys": true, "node.keyboard": true, "boot.microsoft-keys": true,
	"network.vpn.wireguard.peers[].public-key": true, "fleet.ca-pin": true, "secrets": true}

// TestSecretsAreTyped walks all answer types: a field that sounds like a secret
// must be a Secret, and marked as one in the key table; nothing may hide in an
// unexported field, where Secret's methods are not found.
func TestSecretsAreTyped(t *testing.T) {
	secrets := 0
	var walk func(reflect.Type, string)
	walk = func(typ reflect.Type, path string) {
		for i := range typ.NumField() {
			f := typ.Field(i)
			name := strings.TrimPrefix(path+"."+f.Tag.Get("yaml"), ".")
			if !f.IsExported() {
				t.Errorf("%s.%s is not exported", typ, f.Name)
			}
			key, known := keyIndex[name]
			if !known {
				t.Errorf("%s.%s is no key", typ, f.Name)
				continue
			}
			of := f.Type
			for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice || of.Kind() == reflect.Map {
				of = of.Elem()
			}
			typed := of == reflect.TypeFor[Secret]()
			if (secretName.MatchString(f.Name) || secretName.MatchString(key.Name())) && !notSecret[name] && !typed {
				t.Errorf("%s.%s sounds like a secret and is a %s", typ, f.Name, f.Type)
			}
			if key.Secret != typed {
				t.Errorf("%s: the key table says secret=%v, the type says %v", name, key.Secret, typed)
			}
			if typed {
				secrets++
			}
			if key.Type == Section || key.Type == Items {
				walk(of, key.below())
			}
		}
	}
	walk(reflect.TypeFor[Answers](), "")
	marked := 0
	for _, key := range Keys() {
		if key.Secret {
			marked++
		}
	}
	if secrets != marked || secrets < 8 {
		t.Errorf("found %d secrets in the types and %d in the table", secrets, marked)
	}
}

// TestNoSecretLeavesTheAnswers fills every secret of every type with a canary and
// lets the answers out in every way that the program has.
func TestNoSecretLeavesTheAnswers(t *testing.T) {
	const canary = "Zx9-canary"
	filled := 0
	var fill func(reflect.Value)
	fill = func(v reflect.Value) {
		switch {
		case v.Type() == reflect.TypeFor[Secret]():
			v.SetString(canary)
			filled++
		case v.Kind() == reflect.Pointer && v.Type().Elem().Kind() == reflect.Struct:
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem())
		case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct && v.Type().PkgPath() == "" && v.Type().Elem().PkgPath() == reflect.TypeFor[Secret]().PkgPath():
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			fill(v.Index(0))
		case v.Kind() == reflect.Struct && v.Type().PkgPath() == reflect.TypeFor[Secret]().PkgPath():
			for i := range v.NumField() {
				fill(v.Field(i))
			}
		}
	}
	var doc document
	fill(reflect.ValueOf(&doc).Elem())
	marked := 0
	for _, key := range Keys() {
		if key.Secret {
			marked++
		}
	}
	if filled != 2*marked { // of the answers for all, and of one box
		t.Errorf("%d secrets filled, %d in the table", filled, marked)
	}
	file := &File{name: "f", doc: &doc, places: map[string]position{}}
	values := Values{"a": canary}
	outputs := map[string]string{"replay": string(Redacted(&doc.Answers)), "faults": Validate(&doc.Answers).Error(), "not built": NotBuilt(&doc.Answers).Error(), "look up": fmt.Sprint(file.LookUp(values))}
	for _, v := range []any{doc, &doc, doc.Answers, doc.Boxes, file, *file, values, Defaults(&doc.Answers), doc.Network, &doc.Network, doc.Network.Links,
		doc.Network.Links[0].WiFi, *doc.Network.Links[0].WiFi, doc.Network.VPN, doc.Network.VPN.WireGuard.Peers, doc.Network.Proxy, doc.K3s, doc.Encryption} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			outputs[fmt.Sprintf("%T %s", v, verb)] = fmt.Sprintf(verb, v)
		}
		for name, marshal := range map[string]func(any) ([]byte, error){"json": json.Marshal, "yaml": yaml.Marshal} {
			text, err := marshal(v)
			if err != nil {
				t.Errorf("%s of %T: %v", name, v, err)
			}
			outputs[fmt.Sprintf("%T %s", v, name)] = string(text)
		}
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v)
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
		outputs[fmt.Sprintf("%T log", v)] = log.String()
	}
	for name, text := range outputs {
		if strings.Contains(text, canary) || strings.Contains(text, fmt.Sprintf("%x", canary)) {
			t.Errorf("%s prints a secret: %s", name, text)
		}
	}
}

// TestFaultsHoldNoSecret puts a canary where secrets go, in many wrong ways.
func TestFaultsHoldNoSecret(t *testing.T) {
	const canary = "canary77"
	for _, value := range []string{canary, `"` + canary, "'" + canary, "[" + canary + "]", "{" + canary + ": 1}", "{a: " + canary + "}",
		"*" + canary, "&" + canary, "!" + canary, "@" + canary, `"\q` + canary + `"`, "|\n    " + canary + "\n    " + canary,
		canary + ": " + canary, `"` + canary + "\x01\"", `"$6$` + canary + `"`, "-----BEGIN OPENSSH PRIVATE KEY----- " + canary,
		"AGE-SECRET-KEY-1" + canary, `["-----BEGIN PRIVATE KEY-----` + canary + `", "-----BEGIN PRIVATE KEY-----` + canary + `"]`} {
		for _, key := range []string{"node:\n  admin:\n    password-hash: ", "encryption:\n  tpm2:\n    pin: ", "encryption:\n  recovery:\n    recipient: ", "node:\n  admin:\n    ssh-keys: "} {
			_, err := Parse("f", []byte("stek: 1\n"+key+value+"\n"))
			if err == nil || strings.HasSuffix(key, "recipient: ") && !strings.Contains(value, "KEY") {
				continue
			}
			text := err.Error()
			if strings.HasSuffix(key, "ssh-keys: ") && !strings.Contains(value, "KEY") {
				continue // public keys may show
			}
			// A name inside braces is a key of the file, and keys show.
			if strings.Contains(text, canary) && !strings.Contains(text, `unknown key "`+canary) {
				t.Errorf("%q shows the secret:\n%s", key+value, text)
			}
		}
	}
}
