package secureboot_test

import (
	"bytes"
	"crypto/x509"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stek-edge/stek/firmware/pe"
	"github.com/stek-edge/stek/firmware/secureboot"
	"github.com/stek-edge/stek/test/petest"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// newKeys makes keys once for all tests: RSA keys take a while.
var newKeys = sync.OnceValues(func() (*secureboot.Keys, error) { return secureboot.Generate(epoch) })

func keys(t testing.TB) *secureboot.Keys {
	t.Helper()
	k, err := newKeys()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sign(t testing.TB, image []byte, pair secureboot.Pair) []byte {
	t.Helper()
	out, err := secureboot.SignPE(image, pair)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func write(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func saved(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "keys")
	if err := keys(t).Save(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// sbverify is the verifier of the tool that most distributions sign with.
func sbverify(t *testing.T, certificate, image string) error {
	t.Helper()
	out, err := exec.Command("sbverify", "--cert", certificate, image).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		t.Fatal("sbsigntool is needed: ", err)
	}
	t.Logf("sbverify: %s", bytes.TrimSpace(out))
	return err
}

func TestSignedFilePassesSbverify(t *testing.T) {
	dir := saved(t)
	for name, image := range map[string][]byte{
		"aligned":    petest.Stub(),
		"odd length": append(petest.Stub(), 1, 2, 3),
	} {
		t.Run(name, func(t *testing.T) {
			signed := sign(t, image, keys(t).DB)
			if !bytes.Equal(signed, sign(t, image, keys(t).DB)) {
				t.Error("signing twice gives different bytes")
			}
			path := write(t, "signed.efi", signed)
			if err := sbverify(t, filepath.Join(dir, "db.crt"), path); err != nil {
				t.Error("sbverify refuses the signature")
			}
			if err := sbverify(t, filepath.Join(dir, "kek.crt"), path); err == nil {
				t.Error("sbverify accepts another key")
			}
			changed := bytes.Clone(signed)
			changed[0x600] ^= 1
			if err := sbverify(t, filepath.Join(dir, "db.crt"), write(t, "changed.efi", changed)); err == nil {
				t.Error("sbverify accepts a changed file")
			}
		})
	}
}

func TestVerifyAcceptsSbsign(t *testing.T) {
	dir := saved(t)
	in, out := write(t, "in.efi", petest.Stub()), filepath.Join(t.TempDir(), "out.efi")
	text, err := exec.Command("sbsign", "--key", filepath.Join(dir, "db.key"), "--cert", filepath.Join(dir, "db.crt"), "--output", out, in).CombinedOutput()
	if err != nil {
		t.Fatalf("sbsign: %v\n%s", err, text)
	}
	image, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	by, err := secureboot.VerifyPE(image, keys(t).KEK.Certificate, keys(t).DB.Certificate)
	if err != nil || !by.Equal(keys(t).DB.Certificate) {
		t.Fatalf("verified by %v, error %v", by, err)
	}
}

func TestVerify(t *testing.T) {
	k := keys(t)
	signed := sign(t, petest.Stub(), k.DB)
	both := sign(t, signed, k.KEK)
	flip := func(b []byte, at int) []byte {
		c := bytes.Clone(b)
		c[at] ^= 1
		return c
	}
	for _, c := range []struct {
		name  string
		image []byte
		trust []*x509.Certificate
		want  error
	}{
		{"signed by a trusted key", signed, []*x509.Certificate{k.DB.Certificate}, nil},
		{"second of two signatures", both, []*x509.Certificate{k.KEK.Certificate}, nil},
		{"first of two signatures", both, []*x509.Certificate{k.DB.Certificate}, nil},
		{"signed by another key", signed, []*x509.Certificate{k.KEK.Certificate}, secureboot.ErrNotTrusted},
		{"nobody trusted", signed, nil, secureboot.ErrNotTrusted},
		{"not signed", petest.Stub(), []*x509.Certificate{k.DB.Certificate}, pe.ErrUnsigned},
		{"changed code", flip(signed, 0x600), []*x509.Certificate{k.DB.Certificate}, secureboot.ErrNotTrusted},
		{"changed header", flip(signed, 0x80+24+16), []*x509.Certificate{k.DB.Certificate}, secureboot.ErrNotTrusted},
		{"changed signature", flip(signed, len(signed)-40), []*x509.Certificate{k.DB.Certificate}, secureboot.ErrNotTrusted},
		{"not a program", []byte("text"), []*x509.Certificate{k.DB.Certificate}, pe.ErrFormat},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := secureboot.VerifyPE(c.image, c.trust...); !errors.Is(err, c.want) {
				t.Fatalf("error %v, want %v", err, c.want)
			}
		})
	}
}

func TestCheckDigest(t *testing.T) {
	k := keys(t)
	good := sign(t, petest.Stub(), k.DB)
	changed := bytes.Clone(good)
	changed[0x600] ^= 1
	for _, c := range []struct {
		name  string
		image []byte
		want  error
	}{
		{"as it was signed, by anybody", good, nil},
		{"signed twice", sign(t, good, k.KEK), nil},
		{"one bit changed", changed, secureboot.ErrDamaged},
		{"not signed", petest.Stub(), pe.ErrUnsigned},
		{"not a program", []byte("text"), pe.ErrFormat},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := secureboot.CheckDigest(c.image); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
		})
	}
}

func TestLoadOrCreate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	first, created, err := secureboot.LoadOrCreate(dir, epoch)
	if err != nil || !created {
		t.Fatalf("created %v, error %v", created, err)
	}
	second, created, err := secureboot.LoadOrCreate(dir, epoch)
	if err != nil || created {
		t.Fatalf("created again: %v, error %v", created, err)
	}
	if !first.DB.Certificate.Equal(second.DB.Certificate) {
		t.Error("the second call returns other keys")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v (%v)", e.Name(), info.Mode(), err)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(t *testing.T, dir string) error
		error  string
	}{
		{"a missing file", func(_ *testing.T, dir string) error { return os.Remove(filepath.Join(dir, "kek.key")) }, "incomplete"},
		{"a key that others may read", func(_ *testing.T, dir string) error { return os.Chmod(filepath.Join(dir, "db.key"), 0o644) }, "chmod 600"},
		{"certificate of another key", func(_ *testing.T, dir string) error {
			return os.Rename(filepath.Join(dir, "kek.crt"), filepath.Join(dir, "db.crt"))
		}, "incomplete"},
		{"swapped certificates", func(_ *testing.T, dir string) error {
			data, err := os.ReadFile(filepath.Join(dir, "kek.crt"))
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, "db.crt"), data, 0o600)
		}, "belongs to another key"},
		{"garbage in a key", func(_ *testing.T, dir string) error {
			return os.WriteFile(filepath.Join(dir, "pcr.key"), []byte("garbage"), 0o600)
		}, "no PEM block"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := saved(t)
			if err := c.change(t, dir); err != nil {
				t.Fatal(err)
			}
			_, _, err := secureboot.LoadOrCreate(dir, epoch)
			if err == nil || !strings.Contains(err.Error(), c.error) {
				t.Fatalf("error %v, want one with %q", err, c.error)
			}
		})
	}
}

func FuzzVerifyPE(f *testing.F) {
	k := keys(f)
	f.Add(sign(f, petest.Stub(), k.DB))
	f.Add(sign(f, sign(f, petest.Stub(), k.DB), k.KEK))
	unsigned := petest.Stub()
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := secureboot.VerifyPE(raw, k.DB.Certificate); err == nil {
			file, err := pe.Parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			original, err := pe.Parse(unsigned)
			if err != nil {
				t.Fatal(err)
			}
			if file.Digest() != original.Digest() {
				t.Fatal("a file that was never signed verifies")
			}
		}
	})
}
