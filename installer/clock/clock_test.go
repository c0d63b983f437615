package clock

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func at(year int) time.Time { return time.Date(year, 6, 1, 0, 0, 0, 0, time.UTC) }

func TestDecide(t *testing.T) {
	for _, c := range []struct {
		name  string
		facts Facts
		want  time.Time
		wrong bool
	}{
		{"right", Facts{Now: at(2027), Built: at(2026), Persisted: at(2026), Certificate: at(2026)}, at(2027), false},
		{"no battery, first start", Facts{Now: at(1970), Built: at(2026)}, at(2026), true},
		{"no battery, written down", Facts{Now: at(1970), Built: at(2026), Persisted: at(2028), Certificate: at(2027)}, at(2028), true},
		{"no battery, a newer certificate", Facts{Now: at(1970), Built: at(2026), Persisted: at(2027), Certificate: at(2028)}, at(2028), true},
		{"a week behind what was written down", Facts{Now: at(2027).AddDate(0, 0, -7), Built: at(2026), Persisted: at(2027)}, at(2027), true},
		{"far future", Facts{Now: at(2099), Built: at(2026), Persisted: at(2028), Certificate: at(2027)}, at(2028), true},
		{"far future, and written down from there", Facts{Now: at(2099), Built: at(2026), Persisted: at(2098), Certificate: at(2027)}, at(2027), true},
		{"far future in every respect", Facts{Now: at(2099), Built: at(2026), Persisted: at(2098), Certificate: at(2097)}, at(2026), true},
		{"set right after a possible future", Facts{Now: at(2027), Built: at(2026), Persisted: at(2040), Certificate: at(2040), Synchronised: true}, at(2027), false},
		{"no battery, a certificate of a future that was put right", Facts{Now: at(1970), Built: at(2026), Persisted: at(2027), Confirmed: at(2027), Certificate: at(2040)}, at(2027), true},
		{"that certificate, a year later without a time server", Facts{Now: at(1970), Built: at(2026), Persisted: at(2028), Confirmed: at(2027), Certificate: at(2040)}, at(2028), true},
		{"no battery, a certificate made since the time was written down", Facts{Now: at(1970), Built: at(2026), Persisted: at(2027), Confirmed: at(2027), Certificate: at(2027).Add(9 * time.Minute)}, at(2027).Add(9 * time.Minute), true},
		{"a possible future that nobody put right", Facts{Now: at(2027), Built: at(2026), Persisted: at(2040), Confirmed: at(2026)}, at(2040), true},
		{"a time server that says what cannot be", Facts{Now: at(2099), Built: at(2026), Persisted: at(2028), Synchronised: true}, at(2026), true},
		{"a time server from before the image", Facts{Now: at(2020), Built: at(2026), Persisted: at(2028), Synchronised: true}, at(2026), true},
		{"an image that does not say when it was built", Facts{Now: at(2099), Persisted: at(2028)}, at(2099), false},
		{"nothing known", Facts{Now: at(1970)}, at(1970), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := Decide(c.facts)
			if !d.Time.Equal(c.want) || d.Wrong != c.wrong || d.Words == "" {
				t.Errorf("got %+v", d)
			}
		})
	}
}

func TestBox(t *testing.T) {
	dir := t.TempDir()
	b := Box{Epoch: filepath.Join(dir, "image.json"), File: filepath.Join(dir, "stek/clock"), Certificates: []string{filepath.Join(dir, "tls"), filepath.Join(dir, "none")},
		Synchronised: func() bool { return false }}
	now := time.Now()
	write := func(path string, content []byte) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, content, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	write(b.Epoch, nil)
	if err := os.Chtimes(b.Epoch, now, now.AddDate(-1, 0, 0)); err != nil {
		t.Fatal(err)
	}
	write(filepath.Join(dir, "tls/ca.crt"), certificate(t, now.AddDate(0, 0, 2)))
	write(filepath.Join(dir, "tls/other.crt"), []byte("no certificate"))
	write(filepath.Join(dir, "tls/server.key"), certificate(t, now.AddDate(5, 0, 0)))
	var set time.Time
	words, err := b.Floor(func(to time.Time) error { set = to; return nil })
	if err != nil || set.Sub(now.AddDate(0, 0, 2)).Abs() > time.Second || !strings.Contains(words, "its newest certificate begins") {
		t.Errorf("got %s, %q, %v", set, words, err)
	}
	// A clock that is wrong is not written down.
	if err := b.Save(); err != nil {
		t.Fatal(err)
	}
	if last, _ := b.written(); !last.IsZero() {
		t.Errorf("%s was written down", last)
	}
	if err := os.RemoveAll(filepath.Join(dir, "tls")); err != nil {
		t.Fatal(err)
	}
	if err := b.Save(); err != nil {
		t.Fatal(err)
	}
	if last, confirmed := b.written(); last.Sub(now).Abs() > 5*time.Second || !confirmed.IsZero() {
		t.Errorf("%s was written down, confirmed %s", last, confirmed)
	}
	broken := errors.New("not permitted")
	write(b.File, []byte(now.AddDate(0, 1, 0).UTC().Format(time.RFC3339)))
	if _, err := b.Floor(func(time.Time) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	for _, rubbish := range []string{"rubbish", now.Format(time.RFC3339) + " rubbish", ""} {
		write(b.File, []byte(rubbish))
		if last, confirmed := b.written(); !last.IsZero() || !confirmed.IsZero() {
			t.Errorf("%q is the time %s, confirmed %s", rubbish, last, confirmed)
		}
	}
}

// TestFuturePutRight: a clock that was years ahead has its time written down and a
// certificate made from it; a time server sets it right, and the next starts are right too.
func TestFuturePutRight(t *testing.T) {
	dir := t.TempDir()
	synchronised := false
	b := Box{Epoch: filepath.Join(dir, "image.json"), File: filepath.Join(dir, "clock"), Certificates: []string{dir},
		Synchronised: func() bool { return synchronised }}
	now := time.Now()
	future := now.AddDate(13, 0, 0)
	for path, content := range map[string][]byte{
		b.Epoch: nil, b.File: []byte(future.UTC().Format(time.RFC3339) + "\n"), filepath.Join(dir, "ca.crt"): certificate(t, future),
	} {
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(b.Epoch, now, now.AddDate(-1, 0, 0)); err != nil {
		t.Fatal(err)
	}
	synchronised = true
	if err := b.Save(); err != nil {
		t.Fatal(err)
	}
	synchronised = false
	for start := range 2 {
		words, err := b.Floor(func(to time.Time) error { return fmt.Errorf("%s", to) })
		if err != nil {
			t.Errorf("start %d: %q, %v", start, words, err)
		}
		if err := b.Save(); err != nil { // before a time server was asked again
			t.Fatal(err)
		}
		last, confirmed := b.written()
		if last.Sub(now).Abs() > 5*time.Second || confirmed.Sub(now).Abs() > 5*time.Second {
			t.Errorf("start %d: written down is %s, confirmed %s", start, last, confirmed)
		}
	}
}

func certificate(t testing.TB, from time.Time) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: from.AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func FuzzNotBefore(f *testing.F) {
	f.Add(certificate(f, at(2026)))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) { notBefore(text) })
}
