package attack

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stek-edge/stek/installer/tpm"
	"github.com/stek-edge/stek/installer/vault"
	"github.com/stek-edge/stek/test/vm"
)

// bus is somebody on the wires between processor and TPM: a socket in front of
// swtpm's, which passes everything on and keeps it.
type bus struct {
	path string
	mu   sync.Mutex
	seen bytes.Buffer
}

// tapped starts such a bus for a TPM's socket.
func tapped(t *testing.T, socket string) *bus {
	t.Helper()
	b := &bus{path: filepath.Join(filepath.Dir(socket), "bus")} // short, as unix sockets want it
	l, err := net.Listen("unix", b.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b.pass(c, socket)
		}
	}()
	return b
}

// pass carries one command and its answer: both begin with a tag of two bytes and
// their size in four (TPM 2.0 part 1, section 16).
func (b *bus) pass(processor net.Conn, socket string) {
	defer processor.Close()
	chip, err := net.Dial("unix", socket)
	if err != nil {
		return
	}
	defer chip.Close()
	if b.one(chip, processor) == nil {
		_ = b.one(processor, chip)
	}
}

func (b *bus) one(to io.Writer, from io.Reader) error {
	head := make([]byte, 6)
	if _, err := io.ReadFull(from, head); err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(head[2:])
	if size < 10 || size > 4096 {
		return fmt.Errorf("a message of %d bytes", size)
	}
	message := append(head, make([]byte, size-6)...)
	if _, err := io.ReadFull(from, message[6:]); err != nil {
		return err
	}
	b.mu.Lock()
	b.seen.Write(message)
	b.mu.Unlock()
	_, err := to.Write(message)
	return err
}

// TestWire records all that passes between box and TPM while a key with a PIN is
// enrolled, the disk is opened, a wrong PIN is typed, and the identity is kept.
func TestWire(t *testing.T) {
	const pin, wrong = "wires 13579", "wires 24680"
	b := installed(t, signedPolicy)
	b.powerOn(genuine)
	b.measure(11, "enter-initrd")
	listener := tapped(t, b.emu.Socket)
	b.powerOff()
	chip, err := tpm.Open("swtpm:" + listener.path)
	if err != nil {
		t.Fatal(err)
	}
	policy := signedBy(builderKey(), b.genuinePCRs(chip))
	policy.PIN = true
	if _, err := b.volume.AddTPM2(t.Context(), b.maintenance, chip, vault.TPM2Options{Policy: policy, PIN: []byte(pin)}); err != nil {
		t.Fatal(err)
	}
	for _, slot := range []int{pinSlot, tpmSlot} { // with the PIN, and without
		v, err := b.header().Unlock(t.Context(), vault.ByTPM{Unsealer: chip, Signature: genuine.signatures(t), PIN: answering(wrong, pin)})
		if err != nil {
			t.Fatal(err)
		}
		if v.Slot.ID != slot {
			t.Fatalf("opened by slot %d", v.Slot.ID)
		}
		if err := v.CheckIdentity(b.identity); err != nil {
			t.Error(err)
		}
		v.Close()
		if slot == pinSlot {
			if err := b.volume.Remove(t.Context(), pinSlot, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	// The secret of the slot, by a way the listener does not see.
	plain, err := tpm.Open("swtpm:" + b.emu.Socket)
	if err != nil {
		t.Fatal(err)
	}
	sealed := b.header().TPM2Slots()[0].Sealed().Sealed
	secret, err := plain.Unseal(t.Context(), &sealed, genuine.signatures(t), nil)
	if err := errors.Join(err, plain.Close(), chip.Close()); err != nil {
		t.Fatal(err)
	}

	listener.mu.Lock()
	defer listener.mu.Unlock()
	seen := listener.seen.Bytes()
	if len(seen) < 4096 || !bytes.Contains(seen, sealed.Blob[2:60]) {
		t.Fatalf("the recording of %d bytes does not hold the sealed object", len(seen))
	}
	found, err := vm.Scan(t.Context(), bytes.NewReader(seen),
		vm.Canary{Name: "secret", Value: secret}, vm.Canary{Name: "half the secret", Value: secret[:16]},
		vm.Canary{Name: "the other half", Value: secret[16:]}, vm.Canary{Name: "passphrase of the slot", Value: base64Of(secret)},
		vm.Canary{Name: "PIN", Value: []byte(pin)}, vm.Canary{Name: "wrong PIN", Value: []byte(wrong)},
		vm.Canary{Name: "hash of the PIN", Value: sum([]byte(pin))}, vm.Canary{Name: "maintenance key", Value: b.maintenance},
		vm.Canary{Name: "recovery key", Value: b.key()})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		t.Errorf("on the wire: %s", f)
	}
}

func sum(b []byte) []byte {
	s := sha256.Sum256(b)
	return s[:]
}

func (b *box) genuinePCRs(chip *tpm.Device) tpm.PCRs {
	b.t.Helper()
	now, err := chip.ReadPCRs(b.t.Context(), 7)
	if err != nil {
		b.t.Fatal(err)
	}
	return now
}

// TestRounds cuts the power a hundred times right after the key came out of the TPM.
func TestRounds(t *testing.T) {
	b := installed(t, signedPolicy)
	slot := b.header().TPM2Slots()[0]
	for range 100 {
		b.powerOn(genuine)
		b.measure(11, "enter-initrd")
		if _, err := b.chip.Unseal(t.Context(), &slot.Sealed().Sealed, genuine.signatures(t), nil); err != nil {
			t.Fatal(err)
		}
		b.chip = nil // no goodbye to the TPM
	}
	if err := b.emu.Reset(); err != nil {
		t.Fatal(err)
	}
	if l := b.lockout(); l.Counter != 0 || l.Locked {
		t.Errorf("after 100 cuts: %+v", l)
	}
	b.start(genuine).opened(t, tpmSlot)
}
