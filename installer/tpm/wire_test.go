package tpm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
)

// TestNoSecretOnTheWire: what a listener on the bus gets holds neither the secret, nor the
// PIN, nor what the PIN is turned into.
func TestNoSecretOnTheWire(t *testing.T) {
	ctx := context.Background()
	emu, _ := start(t)
	c := &tap{TPMCloser: socketConn(emu.Socket)}
	d := New(c)
	secret, pin := newSecret(), []byte("a PIN that is long enough to find")
	p := Policy{Literal: read(t, d, 7), PIN: true}
	s := seal(t, d, secret, p, string(pin))
	opens(t, d, s, nil, string(pin), secret)
	if _, err := d.Unseal(ctx, s, nil, []byte("wrong")); err == nil {
		t.Fatal("opened with a wrong PIN")
	}
	d.Close()
	auth, err := pinAuth(pin, s.Salt)
	if err != nil {
		t.Fatal(err)
	}
	all := bytes.Join(c.seen, nil)
	if !bytes.Contains(all, s.Blob[2:50]) {
		t.Fatal("the sealed object is not in what was recorded")
	}
	for name, b := range map[string][]byte{"secret": secret, "half the secret": secret[:16], "PIN": pin, "PIN value": auth} {
		if bytes.Contains(all, b) {
			t.Errorf("the %s can be read on the wire", name)
		}
	}
}

// TestNothingLeftBehind: sessions and objects are flushed, after success and failure.
func TestNothingLeftBehind(t *testing.T) {
	ctx := context.Background()
	emu, d := start(t)
	sig, file := signed(t)
	s := seal(t, d, newSecret(), Policy{Signed: sig, Literal: read(t, d, 7), PIN: true}, "1")
	for range 5 {
		if _, err := d.Unseal(ctx, s, file, []byte("1")); err != nil {
			t.Fatal(err)
		}
		d.Unseal(ctx, s, nil, []byte("1"))
	}
	d.Unseal(ctx, s, file, []byte("2"))
	d.Close()
	for _, first := range []uint32{0x02000000, 0x03000000, 0x80000000} { // HMAC and policy sessions, objects
		rsp, err := tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: first, PropertyCount: 8}.
			Execute(&op{ctx, New(socketConn(emu.Socket))})
		if err != nil {
			t.Fatal(err)
		}
		list, err := rsp.CapabilityData.Data.Handles()
		if err != nil || len(list.Handle) != 0 {
			t.Errorf("left behind: %x, %v", list, err)
		}
	}
}

// TestTamperedBus: an answer that somebody changed on the way is an alarm, and not taken.
func TestTamperedBus(t *testing.T) {
	ctx := context.Background()
	emu, plain := start(t)
	id := newSecret()
	s := seal(t, plain, newSecret(), Policy{Literal: read(t, plain, 7)}, "")
	if err := plain.WriteIdentity(ctx, IdentityIndex, id); err != nil {
		t.Fatal(err)
	}
	last := func(code tpm2.TPMCC) *tap { // flips the bit before the proof begins
		return &tap{TPMCloser: socketConn(emu.Socket), change: func(cmd, rsp []byte) []byte {
			if commandCode(cmd) == uint32(code) && len(rsp) > 20 {
				rsp[16] ^= 1
			}
			return rsp
		}}
	}
	var e *BusError
	t.Run("unsealed data", func(t *testing.T) {
		d := New(last(tpm2.TPMCCUnseal))
		defer d.Close()
		if _, err := d.Unseal(ctx, s, nil, nil); !errors.As(err, &e) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("identity", func(t *testing.T) {
		d := New(last(tpm2.TPMCCNVRead))
		defer d.Close()
		if _, err := d.ReadIdentity(ctx, IdentityIndex); !errors.As(err, &e) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("dropped extend", func(t *testing.T) {
		var forged []byte
		c := &tap{TPMCloser: socketConn(emu.Socket)}
		c.change = func(cmd, rsp []byte) []byte {
			if commandCode(cmd) == uint32(tpm2.TPMCCPCRExtend) {
				forged = bytes.Clone(rsp)
			}
			return rsp
		}
		d := New(c)
		defer d.Close()
		extend(t, d, 16, "once") // record a true answer
		c.before = func(cmd []byte) []byte {
			if commandCode(cmd) == uint32(tpm2.TPMCCPCRExtend) {
				return bytes.Clone(forged)
			}
			return nil
		}
		if err := d.Extend(ctx, 11, []byte("leave-initrd")); !errors.As(err, &e) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("another storage key shown", func(t *testing.T) {
		_, other := start(t)
		o := seal(t, other, newSecret(), Policy{Literal: read(t, other, 7)}, "")
		fake := &tap{TPMCloser: socketConn(emu.Socket)}
		d := New(fake)
		defer d.Close()
		var m *SRKMismatchError
		if _, err := d.Unseal(ctx, o, nil, nil); !errors.As(err, &m) {
			t.Fatalf("got %v", err)
		}
	})
}

// TestPassingConditions: "later" is asked again, with a bound; failure is not.
func TestPassingConditions(t *testing.T) {
	emu, plain := start(t)
	s := seal(t, plain, newSecret(), Policy{Literal: read(t, plain, 7)}, "")
	answer := func(rc tpm2.TPMRC) []byte {
		return binary.BigEndian.AppendUint32([]byte{0x80, 0x01, 0, 0, 0, 10}, uint32(rc))
	}
	for _, rc := range []tpm2.TPMRC{tpm2.TPMRCRetry, tpm2.TPMRCTesting, tpm2.TPMRCYielded} {
		t.Run(rc.Error(), func(t *testing.T) {
			n := 0
			c := &tap{TPMCloser: socketConn(emu.Socket), before: func([]byte) []byte {
				if n++; n%3 != 0 {
					return answer(rc)
				}
				return nil
			}}
			d := New(c)
			defer d.Close()
			if _, err := d.Unseal(context.Background(), s, nil, nil); err != nil {
				t.Fatal(err)
			}
		})
	}
	t.Run("busy until the context ends", func(t *testing.T) {
		d := New(&tap{TPMCloser: socketConn(emu.Socket), before: func([]byte) []byte { return answer(tpm2.TPMRCRetry) }})
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		if _, err := d.ReadPCRs(ctx, 7); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("a PCR changes in between", func(t *testing.T) {
		for _, times := range []int{pcrRaces - 1, pcrRaces} {
			n := 0
			d := New(&tap{TPMCloser: socketConn(emu.Socket), before: func(cmd []byte) []byte {
				if commandCode(cmd) == uint32(tpm2.TPMCCUnseal) && n < times {
					n++
					return answer(tpm2.TPMRCPCRChanged)
				}
				return nil
			}})
			_, err := d.Unseal(context.Background(), s, nil, nil)
			d.Close()
			if (err == nil) != (times < pcrRaces) {
				t.Errorf("%d times: %v", times, err)
			}
		}
	})
	t.Run("failed", func(t *testing.T) {
		d := New(&tap{TPMCloser: socketConn(emu.Socket), before: func([]byte) []byte { return answer(tpm2.TPMRCFailure) }})
		var e *FailedError
		if _, err := d.ReadPCRs(context.Background(), 7); !errors.As(err, &e) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("garbage", func(t *testing.T) {
		for _, b := range [][]byte{{}, {0x80, 1}, append(answer(0), 1, 2, 3)} {
			d := New(&tap{TPMCloser: socketConn(emu.Socket), before: func([]byte) []byte { return b }})
			if _, err := d.ReadPCRs(context.Background(), 7); err == nil {
				t.Errorf("%x was taken as an answer", b)
			}
		}
	})
}
