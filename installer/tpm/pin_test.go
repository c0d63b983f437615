package tpm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
)

// pinWith searches a PIN whose authorization value has a property.
func pinWith(t *testing.T, ok func(sum []byte) bool) string {
	t.Helper()
	for i := range 1 << 20 {
		pin := fmt.Sprint(i)
		if ok(sha256Sum([]byte(pin))) {
			return pin
		}
	}
	t.Fatal("no such PIN")
	return ""
}

func TestPINs(t *testing.T) {
	_, d := start(t)
	p := Policy{Literal: read(t, d, 7), PIN: true}
	for _, c := range []struct{ name, pin string }{
		{"digits", "123456"},
		{"unicode", "geheim ß 密码 🔑"},
		{"newline and NUL", "a\nb\x00c"},
		{"long", string(bytes.Repeat([]byte("x"), 4096))},
		{"hash ends in a zero byte", pinWith(t, func(b []byte) bool { return b[31] == 0 })},
		{"hash ends in two zero bytes", pinWith(t, func(b []byte) bool { return b[31] == 0 && b[30] == 0 })},
		{"hash has a zero byte inside", pinWith(t, func(b []byte) bool { return slices.Contains(b[1:30], 0) && b[31] != 0 })},
		{"hash starts with a zero byte", pinWith(t, func(b []byte) bool { return b[0] == 0 })},
	} {
		for form, salt := range map[string][]byte{"without salt": nil, "with salt": bytes.Repeat([]byte{7}, 32)} {
			t.Run(c.name+" "+form, func(t *testing.T) {
				secret := newSecret()
				s, err := d.seal(context.Background(), secret, p, []byte(c.pin), salt, defaultExponent)
				if err != nil {
					t.Fatal(err)
				}
				opens(t, d, s, nil, c.pin, secret)
			})
		}
	}
}

// TestPINAuth pins the derivation with values computed by other programs:
//
//	printf 4711 | sha256sum
//	python3 -c 'import hashlib,base64; k=hashlib.pbkdf2_hmac("sha256",b"4711",b"\7"*32,10000,32); print(hashlib.sha256(base64.b64encode(k)).hexdigest())'
func TestPINAuth(t *testing.T) {
	for _, c := range []struct {
		name string
		salt []byte
		want string
	}{
		{"without salt", nil, "de650d61f5bd166a91f8ccec3158297db18b9d50eaedca238cd29dc3a214a916"},
		{"with salt", bytes.Repeat([]byte{7}, 32), "0f42271080120463fabba1fc85b30a2adedf16522870226d059b04345973f59f"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := pinAuth([]byte("4711"), c.salt)
			if err != nil || fmt.Sprintf("%x", got) != c.want {
				t.Errorf("%x, %v", got, err)
			}
		})
	}
}

// TestPINAndPowerCuts: a box whose power goes at any moment after the PIN was typed
// must not come closer to the TPM's lockout.
func TestPINAndPowerCuts(t *testing.T) {
	ctx := context.Background()
	emu, d := start(t)
	s := seal(t, d, newSecret(), Policy{Literal: read(t, d, 7), PIN: true}, "right")
	for cut := range 6 {
		if err := emu.Reset(); err != nil {
			t.Fatal(err)
		}
		boot(t, d)
		if _, err := d.Unseal(ctx, s, nil, []byte("right")); err != nil {
			t.Fatalf("after %d cuts: %v", cut, err)
		}
		// What stage1 and the running box do afterwards.
		extend(t, d, 15, "which volume")
		extend(t, d, 11, "leave-initrd")
		if err := d.WriteIdentity(ctx, IdentityIndex, []byte{byte(cut)}); err != nil {
			t.Fatal(err)
		}
		if l, err := d.Lockout(ctx); err != nil || l.Counter != 0 {
			t.Fatalf("after %d cuts: %+v, %v", cut, l, err)
		}
	}
}

func TestWrongPIN(t *testing.T) {
	ctx := context.Background()
	emu, d := start(t)
	p := Policy{Literal: read(t, d, 7)}
	secret := newSecret()
	open := seal(t, d, secret, p, "")
	p.PIN = true
	s := seal(t, d, secret, p, "right")

	counter := func() int {
		t.Helper()
		l, err := d.Lockout(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return l.Counter
	}
	for _, pin := range []string{"", "right"} {
		if _, err := d.Seal(ctx, secret, Policy{Literal: p.Literal, PIN: pin == ""}, []byte(pin)); err == nil {
			t.Errorf("sealed with PIN %q against the policy", pin)
		}
	}
	t.Run("empty costs no try", func(t *testing.T) {
		if _, err := d.Unseal(ctx, s, nil, nil); !errors.Is(err, ErrPINRequired) || counter() != 0 {
			t.Fatalf("got %v, counter %d", err, counter())
		}
	})
	t.Run("another policy costs no try", func(t *testing.T) {
		extend(t, d, 7, "something else")
		var pe *PolicyError
		if _, err := d.Unseal(ctx, s, nil, []byte("right")); !errors.As(err, &pe) || counter() != 0 {
			t.Fatalf("got %v, counter %d", err, counter())
		}
		if err := emu.Reset(); err != nil {
			t.Fatal(err)
		}
		boot(t, d)
	})
	l, err := d.Lockout(ctx)
	if err != nil || l.Max < 2 {
		t.Fatalf("%+v, %v", l, err)
	}
	for left := l.Max - 1; left >= 0; left-- {
		var pe *PINError
		if _, err := d.Unseal(ctx, s, nil, []byte("wrong")); !errors.As(err, &pe) || pe.Left != left {
			t.Fatalf("%d left: got %v", left, err)
		}
		if left == l.Max-1 {
			opens(t, d, s, nil, "right", secret)
		}
	}
	var le *LockoutError
	if _, err := d.Unseal(ctx, s, nil, []byte("right")); !errors.As(err, &le) {
		t.Fatalf("got %v", err)
	}
	if !le.Lockout.Locked || le.Lockout.Ends() <= 0 {
		t.Errorf("%+v", le.Lockout)
	}
	t.Log(le, "—", le.Remedy())
	opens(t, d, open, nil, "", secret) // without PIN: not part of the lockout
	if err := d.WriteIdentity(ctx, IdentityIndex, secret); err != nil {
		t.Errorf("NV during a lockout: %v", err)
	}
	if v, err := d.ReadIdentity(ctx, IdentityIndex); err != nil || !bytes.Equal(v, secret) {
		t.Errorf("NV during a lockout: %v", err)
	}
}
