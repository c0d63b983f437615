package preseed

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// TestVerify checks signatures that the stock minisign 0.11 has made.
func TestVerify(t *testing.T) {
	read := func(name string) []byte {
		data, err := os.ReadFile("testdata/signed/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	key, err := ReadPublicKey(read("key.pub"))
	if err != nil {
		t.Fatal(err)
	}
	file, signature := read("answers.yaml"), read("answers.yaml.minisig")
	another := "untrusted comment: x\nRWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3\n" // the one of minisign's own releases
	other, err := ReadPublicKey([]byte(another))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		key             PublicKey
		file, signature []byte
		want            string
	}{
		"good":             {key, file, signature, ""},
		"old form":         {key, file, read("legacy.minisig"), ""},
		"CRLF in the file": {key, []byte(strings.ReplaceAll(string(file), "\n", "\r\n")), signature, "box.yaml was changed after it was signed"},
		"one byte more":    {key, append(file[:len(file):len(file)], '\n'), signature, "box.yaml was changed after it was signed"},
		"no signature":     {key, file, nil, "box.yaml is not signed, and this image takes only answers signed by " + key.String()},
		"empty signature":  {key, file, []byte("\n"), "box.yaml is not signed, and this image takes only answers signed by " + key.String()},
		"cut off":          {key, file, signature[:120], "box.yaml.minisig is no minisign signature"},
		"too long":         {key, file, append(signature[:len(signature):len(signature)], make([]byte, maxSignature)...), "box.yaml.minisig is no minisign signature"},
		"another key":      {other, file, signature, "box.yaml is signed by " + key.String() + ", and this image takes only answers signed by " + other.String()},
		"changed comment":  {key, file, []byte(strings.Replace(string(signature), "stek answer file", "stek answer life", 1)), "box.yaml was changed after it was signed"},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.key.Verify("box.yaml", test.file, test.signature)
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var unsigned *Unsigned
			if !errors.As(err, &unsigned) || err.Error() != test.want || unsigned.Remedy() == "" {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
	for _, text := range []string{"", "RW", another[:40], string(signature)} {
		if _, err := ReadPublicKey([]byte(text)); err == nil {
			t.Errorf("%q is taken as a public key", text)
		}
	}
}

// FuzzVerify looks for panics, and for signatures that hold for another file.
func FuzzVerify(f *testing.F) {
	public, err := os.ReadFile("testdata/signed/key.pub")
	if err != nil {
		f.Fatal(err)
	}
	key, err := ReadPublicKey(public)
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range []string{"answers.yaml.minisig", "legacy.minisig"} {
		signature, err := os.ReadFile("testdata/signed/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(signature)
	}
	f.Fuzz(func(t *testing.T, signature []byte) {
		if key.Verify("f", []byte("stek: 2\n"), signature) == nil {
			t.Error("a signature of another file holds")
		}
	})
}
