package vault

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stek-edge/stek/installer/tpm"
)

// FuzzTPM2Token: whatever a token says, it is refused or stays within bounds, and
// written again it means the same.
func FuzzTPM2Token(f *testing.F) {
	for _, token := range sampleTokens(f) {
		text, err := token.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	files, err := filepath.Glob("testdata/systemd-*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"type":"systemd-tpm2","keyslots":[],"tpm2-blob":["",""],"tpm2-pcrs":null}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		parseToken(0, raw)
		token, err := ParseTPM2(raw)
		if err != nil {
			return
		}
		checkSealed(t, &token.Sealed)
		text, err := token.Encode()
		if err != nil {
			t.Fatalf("accepted, but cannot be written: %v", err)
		}
		again, err := ParseTPM2(text)
		if err != nil {
			t.Fatalf("written, but cannot be read: %v", err)
		}
		twice, err := again.Encode()
		if err != nil || !bytes.Equal(text, twice) {
			t.Fatalf("not stable (%v):\n%s\n%s", err, text, twice)
		}
	})
}

func checkSealed(t *testing.T, s *tpm.Sealed) {
	if len(s.Blob) > 4096 || len(s.SRK) > 1024 || len(s.Salt) > 64 || len(s.PolicyHash) != 32 || len(s.PCRs) > 24 {
		t.Fatalf("out of bounds: %d %d %d %d", len(s.Blob), len(s.SRK), len(s.Salt), len(s.PolicyHash))
	}
	for _, n := range s.PCRs {
		if n < 0 || n > 23 {
			t.Fatalf("PCR %d", n)
		}
	}
}

// FuzzUnlockToken is the same for the unlock order.
func FuzzUnlockToken(f *testing.F) {
	f.Add([]byte(`{"type":"stek-unlock","keyslots":[],"methods":["tpm2","passphrase"],"generation":3,"adding":[4]}`))
	f.Add([]byte(`{"type":"stek-unlock","keyslots":[],"methods":[],"generation":0}`))
	f.Add([]byte(`{"type":"stek-unlock","keyslots":null,"methods":null,"generation":null,"adding":null}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		u, err := ParseUnlock(raw)
		if err != nil {
			return
		}
		if len(u.Methods) > len(unlockMethods) || len(u.Adding) > maxSlot+1 {
			t.Fatalf("out of bounds: %+v", u)
		}
		if _, err := u.Encode(); err != nil {
			t.Fatalf("accepted, but cannot be written: %v", err)
		}
	})
}

// FuzzHeader puts any JSON between right checksums, which anybody can who holds
// the disk. What is accepted must keep its promises, and what luks.go is handed
// must be a header that this package accepts itself.
func FuzzHeader(f *testing.F) {
	sample, err := os.ReadFile("testdata/header.json")
	if err != nil {
		f.Fatal(err)
	}
	var bin binaryHeader
	bin.Version, bin.Size = 2, 32<<10
	copy(bin.ChecksumAlg[:], "sha256")
	copy(bin.UUID[:], "5e77207d-b528-4f8a-b36b-f39681db8fd4")
	from := &headerCopy{bin: bin}
	f.Add(sample, false)
	f.Add(sample, true)
	f.Add(bytes.ReplaceAll(sample, []byte("aes-xts-plain64"), []byte("cipher_null-ecb")), false)
	f.Add(bytes.Replace(sample, []byte(`"flags"`), []byte(`"requirements"`), 1), false)
	f.Fuzz(func(t *testing.T, text []byte, primaryBroken bool) {
		if len(text) > int(bin.Size)-binarySize-1 {
			return
		}
		raw := pair(from, string(text), nil)
		if primaryBroken {
			clear(raw[:4096])
		}
		h, err := Parse(bytes.NewReader(raw), 1<<30)
		if err != nil {
			return
		}
		if h.Broken != primaryBroken {
			t.Fatalf("broken %v", h.Broken)
		}
		if _, ok := keySizes[h.Cipher]; !ok || h.Offset < 64<<10 || h.Offset >= 1<<30 || len(h.Slots) > maxSlot+1 || len(h.Tokens) > maxSlot+1 {
			t.Fatalf("accepted %+v", h)
		}
		usable := 0
		for _, s := range h.Slots {
			if s.Problem != nil {
				continue
			}
			usable++
			offset, size := s.areaRange()
			if s.Memory < 0 || s.Memory > MaxArgonMemory || offset < 64<<10 || offset+size > h.Offset || size > maxAreaSize {
				t.Fatalf("accepted slot %+v", s)
			}
		}
		h.NextSteps(Opened{}, nil)
		h.Order()
		Protection(Situation{Slots: h.Slots})
		if usable == 0 {
			return
		}
		handed, err := h.encodeChecked()
		if err != nil {
			t.Fatal(err)
		}
		c, err := readCopy(bytes.NewReader(handed), 0)
		if err != nil {
			t.Fatalf("handed over a header that is not one: %v", err)
		}
		if _, _, err := parseMetadata(c, 1<<30); err != nil {
			t.Fatalf("handed over what would be refused: %v", err)
		}
		if !json.Valid(c.json) {
			t.Fatal("handed over broken JSON")
		}
	})
}

// FuzzBinaryHeader feeds any bytes as a disk.
func FuzzBinaryHeader(f *testing.F) {
	f.Add([]byte(magicPrimary))
	sample, err := os.ReadFile("testdata/header.json")
	if err != nil {
		f.Fatal(err)
	}
	var bin binaryHeader
	bin.Version, bin.Size = 2, 16<<10
	copy(bin.ChecksumAlg[:], "sha256")
	copy(bin.UUID[:], "5e77207d-b528-4f8a-b36b-f39681db8fd4")
	f.Add(pair(&headerCopy{bin: bin}, string(sample), nil))
	f.Fuzz(func(t *testing.T, disk []byte) {
		h, err := Parse(bytes.NewReader(disk), uint64(len(disk)))
		if err == nil && h.Offset >= uint64(len(disk)) {
			t.Fatalf("accepted a volume without data")
		}
	})
}

// FuzzRecoveryKey: what parses has the one form, and parses again to itself.
func FuzzRecoveryKey(f *testing.F) {
	f.Add("cbdefghi-jklnrtuv-cbdefghi-jklnrtuv-cbdefghi-jklnrtuv-cbdefghi-jklnrtuv")
	f.Add("CBDEFGHI JKLNRTUV cbdefghijklnrtuv\u2014cbdefghi-jklnrtuvcbdefghi-jklnrtuv\n")
	f.Add("\xff\xfe")
	f.Fuzz(func(t *testing.T, typed string) {
		k, err := ParseRecoveryKey(typed)
		if err != nil {
			return
		}
		again, err := ParseRecoveryKey(k.Reveal())
		if err != nil || again != k || k.IsZero() {
			t.Fatalf("%q came back as %q, %v", k.Reveal(), again.Reveal(), err)
		}
	})
}
