package tpm

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"testing"

	"github.com/stek-edge/stek/test/swtpm"
)

func TestSealUnseal(t *testing.T) {
	emu, d := start(t)
	sig, file := signed(t)
	now := read(t, d, 7, 12, 15)
	cases := []struct {
		name   string
		policy Policy
		pin    string
	}{
		{"literal", Policy{Literal: now}, ""},
		{"signed", Policy{Signed: sig}, ""},
		{"signed and literal", Policy{Signed: sig, Literal: now}, ""},
		{"pin", Policy{Literal: now, PIN: true}, "4711"},
		{"everything", Policy{Signed: sig, Literal: now, PIN: true}, "ключ 鍵 🗝"},
	}
	type kept struct {
		name   string
		s      *Sealed
		pin    string
		secret []byte
	}
	var all []kept
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			secret := newSecret()
			s := seal(t, d, secret, c.policy, c.pin)
			opens(t, d, s, file, c.pin, secret)
			all = append(all, kept{c.name, s, c.pin, secret})
			if err := d.Check(context.Background(), s, &c.policy); err != nil {
				t.Errorf("check: %v", err)
			}
			want := byte(0x04) // noDA, second byte of TPMA_OBJECT 0x00000412
			if c.policy.PIN {
				want = 0
			}
			_, public, _, _ := s.object()
			if attrs := public[4:8]; !bytes.Equal(attrs, []byte{0, 0, want, 0x12}) {
				t.Errorf("attributes %x", attrs)
			}
		})
	}
	if err := emu.Reset(); err != nil {
		t.Fatal(err)
	}
	boot(t, d)
	for _, k := range all {
		t.Run(k.name+" after a power cut", func(t *testing.T) { opens(t, d, k.s, file, k.pin, k.secret) })
	}
}

func TestPolicyFailures(t *testing.T) {
	ctx := context.Background()
	emu, d := start(t)
	sig, file := signed(t)
	secret := newSecret()
	s := seal(t, d, secret, Policy{Signed: sig, Literal: read(t, d, 7, 12, 15)}, "")

	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	foreign := &SignatureFile{}
	if err := foreign.Sign(other, pcr11()); err != nil {
		t.Fatal(err)
	}
	stale := &SignatureFile{}
	if err := stale.Sign(signingKey(), PCRs{11: ReplayPCR(nil, []byte("another image"))}); err != nil {
		t.Fatal(err)
	}
	var pe *PolicyError
	for _, c := range []struct {
		name   string
		file   *SignatureFile
		reason PolicyReason
	}{
		{"no file", nil, NoSignature},
		{"empty file", &SignatureFile{}, NoSignature},
		{"signature of another image", stale, NoSignature},
		{"signature by another key", foreign, ForeignSignatures},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := d.Unseal(ctx, s, c.file, nil)
			if !errors.As(err, &pe) || pe.Reason != c.reason {
				t.Fatalf("got %v", err)
			}
		})
	}
	for _, pcr := range []int{7, 12, 15} {
		t.Run(fmt.Sprintf("PCR %d changed", pcr), func(t *testing.T) {
			if err := emu.Reset(); err != nil {
				t.Fatal(err)
			}
			boot(t, d)
			opens(t, d, s, file, "", secret)
			extend(t, d, pcr, "something else")
			_, err := d.Unseal(ctx, s, file, nil)
			if !errors.As(err, &pe) || pe.Reason != ValuesChanged || fmt.Sprint(pe.Changed()) != fmt.Sprint([]int{pcr}) {
				t.Fatalf("got %v", err)
			}
			t.Log(err, "—", pe.Remedy())
		})
	}
	t.Run("token changed", func(t *testing.T) {
		if err := emu.Reset(); err != nil {
			t.Fatal(err)
		}
		boot(t, d)
		bad := *s
		bad.PCRs = []int{7, 12}
		bad.Values = s.Values.only(bad.PCRs)
		if _, err := d.Unseal(ctx, &bad, file, nil); !errors.As(err, &pe) || pe.Reason != TokenChanged {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("after the cap", func(t *testing.T) {
		if err := emu.Reset(); err != nil {
			t.Fatal(err)
		}
		boot(t, d)
		extend(t, d, 11, "leave-initrd")
		if _, err := d.Unseal(ctx, s, file, nil); !errors.As(err, &pe) || pe.Reason != NoSignature {
			t.Fatalf("got %v", err)
		}
		if err := d.Check(ctx, s, nil); err != nil {
			t.Errorf("check: %v", err)
		}
		next := Policy{Signed: sig, Literal: PCRs{7: ReplayPCR(nil, []byte("new dbx")), 12: make([]byte, 32), 15: make([]byte, 32)}}
		if err := d.Check(ctx, s, &next); !errors.As(err, &pe) || fmt.Sprint(pe.Changed()) != "[7]" {
			t.Errorf("check of another next boot: %v", err)
		}
	})
}

// TestOtherKeyName: objects whose policy names the signing key with exponent 0 open too.
func TestOtherKeyName(t *testing.T) {
	_, d := start(t)
	sig, file := signed(t)
	secret := newSecret()
	s, err := d.seal(context.Background(), secret, Policy{Signed: sig, Literal: read(t, d, 7)}, nil, nil, zeroExponent)
	if err != nil {
		t.Fatal(err)
	}
	opens(t, d, s, file, "", secret)
}

// TestTPMRefusesToo: the comparison done here beforehand is for messages; the TPM itself
// must refuse.
func TestTPMRefusesToo(t *testing.T) {
	_, d := start(t)
	now := read(t, d, 7)
	s := seal(t, d, newSecret(), Policy{Literal: now}, "")
	extend(t, d, 7, "something else")
	o, done := d.begin(context.Background())
	defer done()
	key, err := o.parent(s)
	if err != nil {
		t.Fatal(err)
	}
	sess, err := o.startSession(sePolicy, key)
	if err != nil {
		t.Fatal(err)
	}
	defer o.flush(sess.handle)
	plan := &policyPlan{literal: now}
	if err := plan.execute(o, sess.handle); !isRC(err, rcValue) {
		t.Fatalf("got %v", err)
	}
}

func TestSealRefuses(t *testing.T) {
	_, d := start(t)
	ones := bytes.Repeat([]byte{0xff}, 32)
	some := ReplayPCR(nil, []byte("x"))
	for _, c := range []struct {
		name   string
		policy Policy
		pcr    int // of the PCRValueError; -1: another error
	}{
		{"nothing", Policy{}, -1},
		{"a PIN alone", Policy{PIN: true}, -1},
		{"only PCRs that are zero", Policy{Literal: PCRs{12: make([]byte, 32), 15: make([]byte, 32)}}, -1},
		{"zeros", Policy{Literal: PCRs{4: make([]byte, 32), 7: some}}, 4},
		{"ones", Policy{Literal: PCRs{7: some, 17: ones}}, 17},
		{"ones in 12", Policy{Literal: PCRs{7: some, 12: ones}}, 12},
		{"debug PCR", Policy{Literal: PCRs{7: some, 16: some}}, 16},
		{"signed application PCR", Policy{Signed: &Signed{Key: &signingKey().PublicKey, PCRs: []int{23}}}, 23},
		{"signed without PCRs", Policy{Signed: &Signed{Key: &signingKey().PublicKey}}, -1},
		{"short value", Policy{Literal: PCRs{7: some[:31]}}, -1},
		{"no such PCR", Policy{Literal: PCRs{24: some}}, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := d.Seal(context.Background(), newSecret(), c.policy, []byte("1"))
			var ve *PCRValueError
			if errors.As(err, &ve) != (c.pcr >= 0) || err == nil {
				t.Fatalf("got %v", err)
			}
			if ve != nil && ve.PCR != c.pcr {
				t.Fatalf("named PCR %d", ve.PCR)
			}
		})
	}
}

// TestPowerCuts: pulling the power while the secret is in use must not bring the TPM
// nearer to its lockout.
func TestPowerCuts(t *testing.T) {
	emu, d := start(t)
	secret := newSecret()
	sig, file := signed(t)
	s := seal(t, d, secret, Policy{Signed: sig, Literal: read(t, d, 7)}, "")
	for i := range 100 {
		if err := emu.Reset(); err != nil {
			t.Fatal(err)
		}
		boot(t, d)
		opens(t, d, s, file, "", secret)
		l, err := d.Lockout(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if l.Counter != 0 || l.Locked {
			t.Fatalf("after %d power cuts: %+v", i+1, l)
		}
	}
}

func TestOtherTPM(t *testing.T) {
	ctx := context.Background()
	_, d := start(t)
	_, board2 := start(t)
	s := seal(t, d, newSecret(), Policy{Literal: read(t, d, 7)}, "")

	t.Run("never enrolled", func(t *testing.T) {
		var e *ClearedError
		if _, err := board2.Unseal(ctx, s, nil, nil); !errors.As(err, &e) {
			t.Fatalf("got %v", err)
		}
	})
	seal(t, board2, newSecret(), Policy{Literal: read(t, board2, 7)}, "")
	t.Run("enrolled for another disk", func(t *testing.T) {
		var e *SRKMismatchError
		if _, err := board2.Unseal(ctx, s, nil, nil); !errors.As(err, &e) {
			t.Fatalf("got %v", err)
		}
		if err := board2.Check(ctx, s, nil); !errors.As(err, &e) {
			t.Fatalf("check: %v", err)
		}
		if err := board2.Pin(ctx, s.SRK); !errors.As(err, &e) {
			t.Fatalf("pin: %v", err)
		}
	})
	t.Run("older form", func(t *testing.T) {
		old := *s
		old.SRK = nil
		var e *OtherTPMError
		if _, err := board2.Unseal(ctx, &old, nil, nil); !errors.As(err, &e) || e.SRKMatches {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("damaged", func(t *testing.T) {
		bad := *s
		bad.Blob = bytes.Clone(s.Blob)
		bad.Blob[40] ^= 1
		var e *OtherTPMError
		if _, err := d.Unseal(ctx, &bad, nil, nil); !errors.As(err, &e) || !e.SRKMatches {
			t.Fatalf("got %v", err)
		}
	})
}

func TestUsedTPM(t *testing.T) {
	ctx := context.Background()
	policy := Policy{Literal: PCRs{7: ReplayPCR(nil, []byte("x"))}}

	t.Run("cleared", func(t *testing.T) {
		emu, d := start(t)
		s := seal(t, d, newSecret(), Policy{Literal: read(t, d, 7)}, "")
		tools(t, emu, "tpm2_clear -c p")
		d = open(t, emu)
		boot(t, d)
		var e *ClearedError
		if _, err := d.Unseal(ctx, s, nil, nil); !errors.As(err, &e) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("key taken from its place", func(t *testing.T) {
		emu, d := start(t)
		secret := newSecret()
		s := seal(t, d, secret, Policy{Literal: read(t, d, 7)}, "")
		tools(t, emu, "tpm2_evictcontrol -C o -c 0x81000001")
		d = open(t, emu)
		boot(t, d)
		opens(t, d, s, nil, "", secret)
	})
	t.Run("handle taken", func(t *testing.T) {
		emu := swtpm.Start(t)
		tools(t, emu, "tpm2_createprimary -C o -g sha256 -G rsa -c p.ctx", "tpm2_flushcontext -t", "tpm2_evictcontrol -C o -c p.ctx 0x81000001")
		d := open(t, emu)
		var e *HandleTakenError
		if _, err := d.Seal(ctx, newSecret(), policy, nil); !errors.As(err, &e) || e.Handle != SRKHandle {
			t.Fatalf("got %v", err)
		}
		t.Log(e, "—", e.Remedy())
		extend(t, d, 11, "leave-initrd") // must work on any TPM
	})
	t.Run("storage key with a password", func(t *testing.T) {
		emu := swtpm.Start(t)
		tools(t, emu, "tpm2_createprimary -C o -p secret -g sha256 -G ecc256:null:aes128cfb -a fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt -c p.ctx", "tpm2_flushcontext -t", "tpm2_evictcontrol -C o -c p.ctx 0x81000001")
		d := open(t, emu)
		var e *HandleTakenError
		if _, err := d.Seal(ctx, newSecret(), policy, nil); !errors.As(err, &e) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("owner password", func(t *testing.T) {
		emu := swtpm.Start(t)
		tools(t, emu, "tpm2_changeauth -c owner secret")
		d := open(t, emu)
		var e *OwnerAuthError
		if _, err := d.Seal(ctx, newSecret(), policy, nil); !errors.As(err, &e) {
			t.Fatalf("seal: %v", err)
		}
		if err := d.WriteIdentity(ctx, IdentityIndex, newSecret()); !errors.As(err, &e) {
			t.Fatalf("identity: %v", err)
		}
		if p, err := d.Properties(ctx); err != nil || !p.OwnerAuthSet {
			t.Fatalf("%+v, %v", p, err)
		}
		extend(t, d, 11, "leave-initrd")
	})
	t.Run("no SHA-256 bank", func(t *testing.T) {
		emu := swtpm.Start(t)
		tools(t, emu, "tpm2_pcrallocate sha256:none+sha1:all")
		d := open(t, emu)
		var e *NoBankError
		if _, err := d.Seal(ctx, newSecret(), policy, nil); !errors.As(err, &e) || fmt.Sprint(e.Banks) == "[]" {
			t.Fatalf("seal: %v", err)
		}
		if _, err := d.ReadPCRs(ctx, 7); !errors.As(err, &e) {
			t.Fatalf("read: %v", err)
		}
		extend(t, d, 11, "leave-initrd")
	})
}
