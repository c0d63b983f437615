package tpm

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestParseSignatureFile(t *testing.T) {
	_, good := signed(t)
	text, err := json.Marshal(good)
	if err != nil {
		t.Fatal(err)
	}
	key, policy := &signingKey().PublicKey, PCRPolicyDigest(pcr11())
	edit := func(old, new string) string { return strings.Replace(string(text), old, new, 1) }
	entry := strings.TrimSuffix(strings.TrimPrefix(string(text), `{"sha256":[`), `]}`)
	for _, c := range []struct {
		name, text string
		ok, found  bool
	}{
		{"as written", string(text), true, true},
		{"padded with zero bytes", string(text) + "\x00\x00\x00", true, true},
		{"other banks beside it", edit(`{"sha256"`, `{"sha384":"?","sha256"`), true, true},
		{"unknown fields", edit(`"pcrs"`, `"new":{},"pcrs"`), true, true},
		{"upper-case hex", edit(fmt.Sprintf("%x", policy), fmt.Sprintf("%X", policy)), true, true},
		{"no sha256 bank", `{"sha1":[]}`, true, false},
		{"null", `{"sha256":null}`, true, false},
		{"empty list", `{"sha256":[]}`, true, false},
		{"empty file", ``, false, false},
		{"a list", `[]`, false, false},
		{"cut", string(text[:len(text)-9]), false, false},
		{"two values", string(text) + "{}", false, false},
		{"PCR 24", edit(`"pcrs":[11]`, `"pcrs":[24]`), false, false},
		{"PCR -1", edit(`"pcrs":[11]`, `"pcrs":[-1]`), false, false},
		{"no PCR", edit(`"pcrs":[11]`, `"pcrs":[]`), false, false},
		{"PCR as text", edit(`"pcrs":[11]`, `"pcrs":["11"]`), false, false},
		{"other PCRs", edit(`"pcrs":[11]`, `"pcrs":[11,12]`), true, false},
		{"pkfp too short", edit(`"pkfp":"`, `"pkfp":"00","x":"`), false, false},
		{"pol not hex", edit(`"pol":"`, `"pol":"zz`), false, false},
		{"sig not base64", edit(`"sig":"`, `"sig":"*`), false, false},
		{"sig empty", edit(`"sig":"`, `"sig":"","x":"`), false, false},
		{"wrong signature", edit(`"sig":"`, `"sig":"`+strings.Repeat("AAAA", 86)+`","x":"`), true, false},
		{"too many", `{"sha256":[` + strings.Repeat(entry+",", maxSignatures) + entry + `]}`, false, false},
		{"too long", string(text) + strings.Repeat(" ", maxSignatureFile), false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := ParseSignatureFile([]byte(c.text))
			if (err == nil) != c.ok {
				t.Fatalf("got %v", err)
			}
			if found := f.Find(key, []int{11}, policy) != nil; found != c.found {
				t.Errorf("found: %v", found)
			}
		})
	}
}

func FuzzSignatureFile(f *testing.F) {
	_, good := signed(f)
	text, err := json.Marshal(good)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"sha256":[{"pcrs":[11],"pkfp":"00","pol":"","sig":""}],"sha1":1}`))
	f.Add([]byte(`{"sha256":null}`))
	key := &signingKey().PublicKey
	f.Fuzz(func(t *testing.T, b []byte) {
		parsed, err := ParseSignatureFile(b)
		if err != nil {
			return
		}
		// What is found is a signature by the key, whatever the file says.
		if sig := parsed.Find(key, []int{11}, PCRPolicyDigest(PCRs{11: make([]byte, 32)})); sig != nil {
			t.Error("a signature for a value that was never signed")
		}
		again, err := json.Marshal(parsed)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseSignatureFile(again); err != nil {
			t.Errorf("cannot read what was written: %v", err)
		}
	})
}

// A sealed object and an SRK record as they come out of Seal.
func sampleToken(t testing.TB) *Sealed {
	_, d := start(t)
	return seal(t, d, newSecret(), Policy{Literal: read(t, d, 7)}, "")
}

func TestTokenPartsMustFit(t *testing.T) {
	good := sampleToken(t)
	change := func(f func(s *Sealed)) *Sealed {
		s := *good
		s.Blob, s.SRK = bytes.Clone(good.Blob), bytes.Clone(good.SRK)
		f(&s)
		return &s
	}
	for name, s := range map[string]*Sealed{
		"other policy hash":    change(func(s *Sealed) { s.PolicyHash = make([]byte, 32) }),
		"empty blob":           change(func(s *Sealed) { s.Blob = nil }),
		"blob with more":       change(func(s *Sealed) { s.Blob = append(s.Blob, 0) }),
		"blob cut":             change(func(s *Sealed) { s.Blob = s.Blob[:len(s.Blob)-1] }),
		"blob is a key":        change(func(s *Sealed) { s.Blob = append([]byte{0, 0}, s.SRK[4+2+34+4:]...) }),
		"SHA-1 bank":           change(func(s *Sealed) { s.Bank = "sha1" }),
		"SRK cut":              change(func(s *Sealed) { s.SRK = s.SRK[:len(s.SRK)-1] }),
		"SRK with another key": change(func(s *Sealed) { s.SRK[len(s.SRK)-1] ^= 1 }),
		"SRK with another name": change(func(s *Sealed) {
			s.SRK[10] ^= 1
		}),
		"SRK at a transient handle": change(func(s *Sealed) { s.SRK[0] = 0x80 }),
	} {
		t.Run(name, func(t *testing.T) {
			_, _, _, err := s.object()
			if _, srk := parseSRK(s.SRK); err == nil && srk == nil {
				t.Error("was taken")
			}
		})
	}
}

func FuzzToken(f *testing.F) {
	s := sampleToken(f)
	f.Add(s.Blob, s.SRK)
	f.Add([]byte{0, 0, 0, 0}, []byte{0x81, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0})
	f.Fuzz(func(t *testing.T, blob, srk []byte) {
		_, _, _, _ = (&Sealed{Blob: blob, PolicyHash: s.PolicyHash}).object()
		key, err := parseSRK(srk)
		if err == nil && !bytes.Equal(marshalSRK(key), srk) {
			t.Error("read and written SRK differ")
		}
	})
}

// answers gives the same body to every command.
type answers []byte

func (a answers) Send([]byte) ([]byte, error) {
	head := binary.BigEndian.AppendUint32([]byte{0x80, 0x01}, uint32(10+len(a)))
	return append(append(head, 0, 0, 0, 0), a...), nil
}
func (answers) Close() error { return nil }

// FuzzAnswers: whatever sits on the bus, PID 1 must not die of it.
func FuzzAnswers(f *testing.F) {
	s := sampleToken(f)
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0}, 64))
	f.Add(bytes.Repeat([]byte{0xff}, 64))
	f.Add(append([]byte{0, 0x5a}, s.SRK[4+2+34+4+2:]...))
	f.Add([]byte{0, 0, 0, 0, 6, 0, 0, 0, 2, 0, 0, 1, 5, 'I', 'B', 'M', 0, 0, 0, 2, 0, 0, 0, 0, 9})
	f.Add([]byte{0, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0x0b, 3, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) > maxResponse-10 {
			return
		}
		ctx, d := context.Background(), New(answers(body))
		defer d.Close()
		d.Properties(ctx)
		d.Lockout(ctx)
		d.ReadPCRs(ctx, 7, 11)
		d.ReadIdentity(ctx, IdentityIndex)
		d.Extend(ctx, 11, nil)
		if _, err := d.Unseal(ctx, s, nil, nil); err == nil {
			t.Error("unsealed without a TPM")
		}
		if _, err := d.Seal(ctx, []byte("x"), Policy{Literal: PCRs{7: ReplayPCR(nil, nil)}}, nil); err == nil {
			t.Error("sealed without a TPM")
		}
	})
}
