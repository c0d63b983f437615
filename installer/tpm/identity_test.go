package tpm

import (
	"bytes"
	"context"
	"errors"
	"testing"
)

func TestIdentity(t *testing.T) {
	ctx := context.Background()
	emu, d := start(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	want := func(v []byte) {
		t.Helper()
		got, err := d.ReadIdentity(ctx, IdentityIndex)
		if err != nil || !bytes.Equal(got, v) {
			t.Fatalf("got %x, %v", got, err)
		}
	}
	if _, err := d.ReadIdentity(ctx, IdentityIndex); !errors.Is(err, ErrNoIdentity) {
		t.Fatalf("got %v", err)
	}
	must(d.EraseIdentity(ctx, IdentityIndex)) // nothing there
	a, b, long := newSecret(), newSecret(), bytes.Repeat([]byte{1}, 64)
	must(d.WriteIdentity(ctx, IdentityIndex, a))
	want(a)
	must(d.WriteIdentity(ctx, IdentityIndex, b))
	want(b)
	must(emu.Reset())
	want(b)
	must(d.WriteIdentity(ctx, IdentityIndex, long))
	want(long)
	must(d.EraseIdentity(ctx, IdentityIndex))
	if _, err := d.ReadIdentity(ctx, IdentityIndex); !errors.Is(err, ErrNoIdentity) {
		t.Fatalf("got %v", err)
	}
	for _, bad := range [][]byte{nil, bytes.Repeat([]byte{1}, 65)} {
		if err := d.WriteIdentity(ctx, IdentityIndex, bad); err == nil {
			t.Errorf("wrote %d bytes", len(bad))
		}
	}
	if err := d.WriteIdentity(ctx, 0x01c00002, a); err == nil {
		t.Error("wrote to an index outside the owner's range")
	}
}

func TestIdentityWritesOnce(t *testing.T) {
	ctx := context.Background()
	emu, _ := start(t)
	c := &tap{TPMCloser: socketConn(emu.Socket)}
	d := New(c)
	defer d.Close()
	id := newSecret()
	for range 3 {
		if err := d.WriteIdentity(ctx, IdentityIndex, id); err != nil {
			t.Fatal(err)
		}
	}
	writes := 0
	for _, m := range c.seen {
		if len(m) > 10 && m[0] == 0x80 && commandCode(m) == 0x137 { // TPM_CC_NV_Write
			writes++
		}
	}
	if writes != 1 {
		t.Errorf("NV memory was written %d times", writes)
	}
}

func TestIdentityTaken(t *testing.T) {
	ctx := context.Background()
	emu, _ := start(t)
	tools(t, emu, "tpm2_nvdefine -C o -s 32 -a ownerread|ownerwrite|policywrite 0x1a57e4b")
	d := open(t, emu)
	var e *NVTakenError
	if err := d.WriteIdentity(ctx, IdentityIndex, newSecret()); !errors.As(err, &e) {
		t.Errorf("write: %v", err)
	}
	if _, err := d.ReadIdentity(ctx, IdentityIndex); !errors.As(err, &e) {
		t.Errorf("read: %v", err)
	}
	if err := d.EraseIdentity(ctx, IdentityIndex); !errors.As(err, &e) {
		t.Errorf("erase: %v", err)
	}
}
