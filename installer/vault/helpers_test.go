package vault

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stek-edge/stek/installer/tpm"
)

// imageSize leaves room for the header (16 MiB) and some data.
const imageSize = 18 << 20

// newVolume formats an image file with real cryptsetup.
func newVolume(t testing.TB, o FormatOptions) (*Manager, RecoveryKey) {
	t.Helper()
	if o.Recovery.IsZero() {
		o.Recovery = NewRecoveryKey()
	}
	m := &Manager{Device: filepath.Join(t.TempDir(), "state.img"), Runner: Exec{}}
	f, err := os.Create(m.Device)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(imageSize); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := m.Format(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	return m, o.Recovery
}

func inspect(t testing.TB, m *Manager) *Header {
	t.Helper()
	h, err := Inspect(m.Device)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// opens tells which slot a passphrase opens, -1 for none.
func opens(t testing.TB, m *Manager, passphrase []byte) int {
	t.Helper()
	v, err := inspect(t, m).Unlock(context.Background(), ByKey(passphrase))
	if err != nil {
		return -1
	}
	defer v.Close()
	return v.Slot.ID
}

// tool runs a stock program and returns its output.
func tool(t testing.TB, stdin []byte, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, stderr.String())
	}
	return out
}

func readHead(t testing.TB, path string, n int) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, n)
	if _, err := f.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	return b
}

func writeAt(t testing.TB, path string, b []byte, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}

// pair encodes both header copies around a JSON text, with right checksums: what
// anybody who holds the disk can do. change may alter a copy before that.
func pair(from *headerCopy, text string, change func(b *binaryHeader, second bool)) []byte {
	size := int(from.bin.Size)
	out := make([]byte, 2*size)
	for i := range 2 {
		bin := from.bin
		copy(bin.Magic[:], magicPrimary)
		bin.Offset = 0
		if i == 1 {
			copy(bin.Magic[:], magicSecondary)
			bin.Offset = uint64(size)
		}
		if change != nil {
			change(&bin, i == 1)
		}
		raw := out[i*size : (i+1)*size]
		var buf bytes.Buffer
		if err := binary.Write(&buf, binary.BigEndian, bin); err != nil {
			panic(err)
		}
		copy(raw, buf.Bytes())
		copy(raw[binarySize:], text)
		clear(raw[checksumAt : checksumAt+64])
		copy(raw[checksumAt:], checksum(raw))
	}
	return out
}

// memoryTPM stands for a TPM where a test is about this package's order and
// records; TestRealTPM uses a real one.
type memoryTPM struct {
	secrets map[string][]byte
	fail    map[string]error // by blob
	pins    map[string]string
	asked   int
}

func newMemoryTPM() *memoryTPM {
	return &memoryTPM{secrets: map[string][]byte{}, fail: map[string]error{}, pins: map[string]string{}}
}

func (m *memoryTPM) Seal(_ context.Context, secret []byte, p tpm.Policy, pin []byte) (*tpm.Sealed, error) {
	blob := strings.Repeat("b", 60) + string(rune('0'+len(m.secrets)))
	m.secrets[blob] = bytes.Clone(secret)
	if p.PIN {
		m.pins[blob] = string(pin)
	}
	s := &tpm.Sealed{Blob: []byte(blob), SRK: []byte("the storage key"), PolicyHash: make([]byte, 32), PrimaryAlg: "ecc", Bank: "sha256", PIN: p.PIN, Signed: p.Signed}
	for n := range p.Literal {
		s.PCRs = append(s.PCRs, n)
	}
	return s, nil
}

func (m *memoryTPM) Unseal(_ context.Context, s *tpm.Sealed, _ *tpm.SignatureFile, pin []byte) ([]byte, error) {
	m.asked++
	if err := m.fail[string(s.Blob)]; err != nil {
		return nil, err
	}
	if s.PIN && len(pin) == 0 {
		return nil, tpm.ErrPINRequired
	}
	if s.PIN && string(pin) != m.pins[string(s.Blob)] {
		return nil, &tpm.PINError{Left: -1}
	}
	secret, ok := m.secrets[string(s.Blob)]
	if !ok {
		return nil, errors.New("sealed by another TPM")
	}
	return bytes.Clone(secret), nil
}
