package tpm

import (
	"bytes"
	"context"
	"crypto"
	"crypto/hmac"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/stek-edge/stek/test/swtpm"
)

func TestOpen(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, spec := range []string{"/dev/no-such-tpm", file, "swtpm:" + file + "-none", "swtpm:" + file} {
		_, err := Open(spec)
		var e *NoDeviceError
		if !errors.As(err, &e) || e.Spec != spec {
			t.Errorf("%s: %v", spec, err)
		}
	}
	null, err := Open("/dev/null") // a device that is no TPM fails at the first command
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if _, err := null.ReadPCRs(context.Background(), 7); err == nil {
		t.Error("/dev/null answered")
	}
	emu := swtpm.Start(t)
	for range 3 { // started already
		open(t, emu)
	}
}

func TestProperties(t *testing.T) {
	_, d := start(t)
	p, err := d.Properties(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if p.Manufacturer != "IBM" || !strings.Contains(p.Vendor, "SW") || p.Firmware == "0.0.0.0" || p.OwnerAuthSet || !slices.Contains(p.Banks, "sha256") {
		t.Errorf("%+v", p)
	}
	l, err := d.Lockout(context.Background())
	if err != nil || l.Max == 0 || l.Interval == 0 || l.Locked || l.Counter != 0 {
		t.Errorf("%+v, %v", l, err)
	}
}

func TestLockoutEnds(t *testing.T) {
	for _, c := range []struct {
		name string
		l    Lockout
		want time.Duration
	}{
		{"not locked", Lockout{Counter: 2, Max: 3, Interval: time.Minute}, 0},
		{"just locked", Lockout{Counter: 3, Max: 3, Interval: time.Minute, Locked: true}, time.Minute},
		{"over the limit", Lockout{Counter: 5, Max: 3, Interval: time.Minute, Locked: true}, 3 * time.Minute},
		{"never by itself", Lockout{Counter: 3, Max: 3, Locked: true}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.l.Ends(); got != c.want {
				t.Errorf("got %s", got)
			}
		})
	}
}

// TestExtendAllBanks: what is measured is in every bank, with the bank's own hash.
func TestExtendAllBanks(t *testing.T) {
	ctx := context.Background()
	emu := swtpm.Start(t)
	d := open(t, emu)
	event, key := []byte("leave-initrd"), []byte("volume key")
	mac := func(h crypto.Hash) []byte {
		m := hmac.New(h.New, key)
		m.Write(event)
		return m.Sum(nil)
	}
	if err := d.Extend(ctx, 11, event); err != nil {
		t.Fatal(err)
	}
	if err := d.ExtendDigests(ctx, 15, mac); err != nil {
		t.Fatal(err)
	}
	p, err := d.Properties(ctx)
	if err != nil || len(p.Banks) < 2 {
		t.Fatalf("%+v, %v", p, err)
	}
	o, done := d.begin(ctx)
	defer done()
	for _, b := range knownBanks[:4] {
		if !slices.Contains(p.Banks, b.name) {
			continue
		}
		sum := func(data ...[]byte) []byte {
			h := b.hash.New()
			for _, x := range data {
				h.Write(x)
			}
			return h.Sum(nil)
		}
		zero := make([]byte, b.size)
		for pcr, want := range map[int][]byte{11: sum(zero, sum(event)), 15: sum(zero, mac(b.hash))} {
			sel := selection([]int{pcr})
			sel.PCRSelections[0].Hash = b.alg
			rsp, err := tpm2.PCRRead{PCRSelectionIn: sel}.Execute(o)
			if err != nil || len(rsp.PCRValues.Digests) != 1 || !bytes.Equal(rsp.PCRValues.Digests[0].Buffer, want) {
				t.Errorf("%s, PCR %d: %v, %v", b.name, pcr, rsp, err)
			}
		}
	}
}

func TestExtendRefuses(t *testing.T) {
	_, d := start(t)
	before := read(t, d, 15)
	for _, c := range []struct {
		name   string
		pcr    int
		digest func(crypto.Hash) []byte
	}{
		{"no such PCR", 24, func(h crypto.Hash) []byte { return make([]byte, h.Size()) }},
		{"negative PCR", -1, func(h crypto.Hash) []byte { return make([]byte, h.Size()) }},
		{"wrong size", 15, func(crypto.Hash) []byte { return make([]byte, 5) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := d.ExtendDigests(context.Background(), c.pcr, c.digest); err == nil {
				t.Error("no error")
			}
		})
	}
	if len(before.Changed(read(t, d, 15))) != 0 {
		t.Error("a refused extend changed the PCR")
	}
}

func TestReplayPCR(t *testing.T) {
	_, d := start(t)
	if got := read(t, d, 11); !bytes.Equal(got[11], pcr11()[11]) {
		t.Errorf("predicted %x, is %x", pcr11()[11], got[11])
	}
	extend(t, d, 11, "leave-initrd")
	if got, want := read(t, d, 11)[11], ReplayPCR(pcr11()[11], []byte("leave-initrd")); !bytes.Equal(got, want) {
		t.Errorf("predicted %x, is %x", want, got)
	}
}

func TestReadPCRs(t *testing.T) {
	_, d := start(t)
	var all []int
	for n := range lastPCR + 1 {
		all = append(all, n, n)
	}
	got := read(t, d, all...)
	if len(got) != lastPCR+1 || !bytes.Equal(got[17], bytes.Repeat([]byte{0xff}, 32)) || !bytes.Equal(got[0], make([]byte, 32)) {
		t.Errorf("%x", got)
	}
	if none := read(t, d); len(none) != 0 {
		t.Errorf("%x", none)
	}
	if _, err := d.ReadPCRs(context.Background(), 24); err == nil {
		t.Error("read PCR 24")
	}
}

// TestTurns: several goroutines share a device.
func TestTurns(t *testing.T) {
	_, d := start(t)
	secret := newSecret()
	s := seal(t, d, secret, Policy{Literal: read(t, d, 7)}, "")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 5 {
				got, err := d.Unseal(context.Background(), s, nil, nil)
				if err != nil || !bytes.Equal(got, secret) {
					t.Error(err)
				}
				if err := d.Extend(context.Background(), 16, []byte(fmt.Sprint(i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestCancelled(t *testing.T) {
	_, d := start(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := d.ReadPCRs(ctx, 7); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestRemedies: every fault says what to do, and no message is empty or technical only.
func TestRemedies(t *testing.T) {
	rc := tpm2.TPMRCFailure
	for _, f := range []Fault{
		&NoDeviceError{"/dev/tpmrm0", rc}, &FailedError{rc}, &BusyError{time.Second, rc}, &ClearedError{SRKHandle},
		&SRKMismatchError{SRKHandle, []byte{1}, nil}, &OtherTPMError{true, rc}, &OtherTPMError{false, rc},
		&HandleTakenError{SRKHandle, "an RSA-2048 key"}, &OwnerAuthError{}, &NoBankError{[]string{"sha1"}},
		&LockoutError{Lockout{Counter: 3, Max: 3, Interval: time.Hour, Locked: true}}, &PINError{2}, &PINError{0}, &PINError{-1},
		&BusError{"unsealing", rc}, &UnprovenError{11, rc}, &PCRValueError{7, whyZeros}, &NVTakenError{IdentityIndex, "x"},
		&PolicyError{Reason: ValuesChanged, PCRs: []int{7}}, &PolicyError{Reason: NoSignature, PCRs: []int{11}},
		&PolicyError{Reason: TokenChanged, PCRs: []int{7}},
	} {
		if len(f.Remedy()) < 30 || f.Error() == "" {
			t.Errorf("%T: %q", f, f.Remedy())
		}
		t.Logf("%v\n    → %s", f, f.Remedy())
	}
	for n := range 16 {
		if n != 10 && UsualCause(n) == "unknown" {
			t.Errorf("no cause for PCR %d", n)
		}
	}
}
