package tpm

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"sync"
	"testing"

	"github.com/google/go-tpm/tpm2/transport"

	"github.com/stek-edge/stek/test/swtpm"
)

// signingKey is made once; making an RSA key is slow.
var signingKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// open opens an emulator and closes it when the test ends.
func open(t testing.TB, emu *swtpm.TPM) *Device {
	t.Helper()
	d, err := Open("swtpm:" + emu.Socket)
	if err != nil {
		t.Fatalf("%v\n%s", err, emu.Log())
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// start gives a new TPM whose PCR 7 holds something, as after a boot.
func start(t testing.TB) (*swtpm.TPM, *Device) {
	t.Helper()
	emu := swtpm.Start(t)
	d := open(t, emu)
	boot(t, d)
	return emu, d
}

// boot does what firmware, stub and stage1 measure.
func boot(t testing.TB, d *Device) {
	t.Helper()
	extend(t, d, 7, "secure boot state")
	extend(t, d, 11, "image")
	extend(t, d, 11, "enter-initrd")
}

// pcr11 is the value that boot leaves in PCR 11.
func pcr11() PCRs {
	return PCRs{11: ReplayPCR(nil, []byte("image"), []byte("enter-initrd"))}
}

func extend(t testing.TB, d *Device, pcr int, event string) {
	t.Helper()
	if err := d.Extend(context.Background(), pcr, []byte(event)); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, d *Device, pcrs ...int) PCRs {
	t.Helper()
	v, err := d.ReadPCRs(context.Background(), pcrs...)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// signed returns the policy "signed PCR 11" and a file that signs the value of boot.
func signed(t testing.TB) (*Signed, *SignatureFile) {
	t.Helper()
	f := &SignatureFile{}
	if err := f.Sign(signingKey(), pcr11()); err != nil {
		t.Fatal(err)
	}
	return &Signed{Key: &signingKey().PublicKey, PCRs: []int{11}}, f
}

func seal(t testing.TB, d *Device, secret []byte, p Policy, pin string) *Sealed {
	t.Helper()
	s, err := d.Seal(context.Background(), secret, p, []byte(pin))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// opens checks that s gives the secret.
func opens(t testing.TB, d *Device, s *Sealed, f *SignatureFile, pin string, secret []byte) {
	t.Helper()
	got, err := d.Unseal(context.Background(), s, f, []byte(pin))
	if err != nil {
		t.Fatalf("unsealing: %v", err)
	}
	if !bytes.Equal(got, secret) {
		t.Fatal("unsealed something else")
	}
}

func newSecret() []byte {
	b := make([]byte, 32)
	rand.Read(b)
	return b
}

// tap is a connection that shows and may change what passes.
type tap struct {
	transport.TPMCloser
	seen   [][]byte
	change func(cmd, rsp []byte) []byte
	before func(cmd []byte) []byte // a non-nil answer is given instead of the TPM's
}

func (c *tap) Send(cmd []byte) ([]byte, error) {
	c.seen = append(c.seen, bytes.Clone(cmd))
	if c.before != nil {
		if rsp := c.before(cmd); rsp != nil {
			return rsp, nil
		}
	}
	rsp, err := c.TPMCloser.Send(cmd)
	if err == nil && c.change != nil {
		rsp = c.change(cmd, rsp)
	}
	c.seen = append(c.seen, bytes.Clone(rsp))
	return rsp, err
}

// commandCode of a raw command.
func commandCode(cmd []byte) uint32 {
	return uint32(cmd[6])<<24 | uint32(cmd[7])<<16 | uint32(cmd[8])<<8 | uint32(cmd[9])
}
