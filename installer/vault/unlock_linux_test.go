package vault

import (
	"bytes"
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	devmapper "github.com/anatol/devmapper.go"

	"github.com/stek-edge/stek/installer/tpm"
)

// TestUnlockRecoversTheVolumeKey compares with what cryptsetup recovers, by the
// identity and by reading data.
func TestUnlockRecoversTheVolumeKey(t *testing.T) {
	m, key := newVolume(t, FormatOptions{})
	volumeKey := dumpVolumeKey(t, m, key)
	h := inspect(t, m)
	v, err := h.Unlock(context.Background(), ByTyping{Ask: answers(strings.ToUpper(strings.ReplaceAll(key.Reveal(), "-", " "))), Tries: 1})
	if err != nil {
		t.Fatal(err)
	}
	if v.Slot.ID != 0 || v.Slot.Kind != KindRecovery || len(v.Outcomes) != 0 {
		t.Errorf("opened by %+v after %v", v.Slot, v.Outcomes)
	}
	id, err := v.Identity(crypto.SHA256, crypto.SHA1, crypto.SHA384, crypto.SHA512)
	if err != nil {
		t.Fatal(err)
	}
	message := []byte("cryptsetup:state:" + h.UUID)
	mac256, mac512 := hmac.New(sha256.New, volumeKey), hmac.New(sha512.New, volumeKey)
	mac256.Write(message)
	mac512.Write(message)
	if !bytes.Equal(id[crypto.SHA256], mac256.Sum(nil)) || !bytes.Equal(id[crypto.SHA512], mac512.Sum(nil)) {
		t.Error("the identity is not the HMAC with the volume key")
	}
	if _, err := v.Identity(crypto.MD5); err == nil {
		t.Error("an identity with MD5")
	}
	if err := v.CheckIdentity(id[crypto.SHA256]); err != nil {
		t.Error(err)
	}
	var swapped *SwappedError
	if err := v.CheckIdentity(bytes.Repeat([]byte{1}, 32)); !errors.As(err, &swapped) || swapped.Remedy() == "" {
		t.Errorf("another volume's identity: %v", err)
	}
	if err := v.CheckIdentity(nil); !errors.As(err, &swapped) {
		t.Errorf("no identity: %v", err)
	}

	// The same table as Map hands to the kernel, read in this process.
	k := v.key.(luksKey)
	table := devmapper.CryptTable{Length: 1 << 20, BackendDevice: m.Device, BackendOffset: k.v.StorageOffset,
		Encryption: k.v.StorageEncryption, Key: k.bytes(), SectorSize: k.v.StorageSectorSize}
	vol, err := devmapper.OpenUserspaceVolume(os.O_RDWR, 0, table)
	if err != nil {
		t.Fatal(err)
	}
	data := bytes.Repeat([]byte("greenhouse 7\n..."), 256)
	if _, err := vol.WriteAt(data, 8192); err != nil {
		t.Fatal(err)
	}
	vol.Close()
	raw, err := os.ReadFile(m.Device)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(raw, data[:16]) {
		t.Error("the data is on the disk in plain")
	}
	table.Key = volumeKey
	if vol, err = devmapper.OpenUserspaceVolume(os.O_RDONLY, 0, table); err != nil {
		t.Fatal(err)
	}
	defer vol.Close()
	back := make([]byte, len(data))
	if _, err := vol.ReadAt(back, 8192); err != nil || !bytes.Equal(back, data) {
		t.Errorf("cryptsetup's key reads other data (%v)", err)
	}

	// Closing wipes the key in the library's memory as well.
	inside := k.bytes()
	if len(inside) != 64 || !bytes.Equal(inside, volumeKey) {
		t.Fatal("the library keeps its key elsewhere: wipe does nothing")
	}
	v.Close()
	if !bytes.Equal(inside, make([]byte, 64)) {
		t.Error("the key is still in memory")
	}
	if _, err := v.Identity(crypto.SHA256); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed volume has an identity: %v", err)
	}
	if _, err := v.Map(); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed volume was mapped: %v", err)
	}
	v.Close() // twice does no harm
}

// TestUnlockChangesNothing: not one byte of the device.
func TestUnlockChangesNothing(t *testing.T) {
	m, key := newVolume(t, FormatOptions{})
	before, err := os.ReadFile(m.Device)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(m.Device, 0o400); err != nil {
		t.Fatal(err)
	}
	if opens(t, m, []byte(key.Reveal())) != 0 || opens(t, m, []byte("wrong")) != -1 {
		t.Error("opened wrongly")
	}
	after, err := os.ReadFile(m.Device)
	if err != nil || !bytes.Equal(before, after) {
		t.Error("the device was changed")
	}
}

func TestUnlockOrderAndOutcomes(t *testing.T) {
	ctx := context.Background()
	m, key := newVolume(t, FormatOptions{Order: []Kind{KindTPM2, KindPassphrase}})
	auth := []byte(key.Reveal())
	dev := newMemoryTPM()
	first, err := m.AddTPM2(ctx, auth, dev, TPM2Options{State: StateProvisional})
	if err != nil {
		t.Fatal(err)
	}
	second, err := m.AddTPM2(ctx, auth, dev, TPM2Options{})
	if err != nil {
		t.Fatal(err)
	}
	withPIN, err := m.AddTPM2(ctx, auth, dev, TPM2Options{Policy: tpm.Policy{PIN: true}, PIN: []byte("1234")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.AddPassphrase(ctx, auth, []byte("a long passphrase")); err != nil {
		t.Fatal(err)
	}
	h := inspect(t, m)
	if first.Generation != 1 || second.Generation != 2 || withPIN.Generation != 3 {
		t.Errorf("generations %d, %d, %d", first.Generation, second.Generation, withPIN.Generation)
	}
	broken := errors.New("PCR 7 changed")
	blobOf := func(s *Slot) string { return string(h.Slot(s.ID).Sealed().Sealed.Blob) }

	tests := []struct {
		name     string
		fail     map[string]error
		methods  []Method
		opened   int // slot, -1 for none
		outcomes []string
	}{
		{"newest first, right PIN", nil, []Method{ByTPM{Unsealer: dev, PIN: answers("1234")}}, withPIN.ID, nil},
		{"wrong PIN, then the right one", nil, []Method{ByTPM{Unsealer: dev, PIN: answers("0000", "1234")}}, withPIN.ID,
			[]string{"tpm2 (slot 3): wrong PIN"}},
		{"Enter alone, then the right PIN", nil, []Method{ByTPM{Unsealer: dev, PIN: answers("", "1234")}}, withPIN.ID,
			[]string{"tpm2 (slot 3): a PIN is needed"}},
		{"no PIN given", nil, []Method{ByTPM{Unsealer: dev}}, second.ID, []string{"tpm2 (slot 3): a PIN is needed"}},
		{"PIN given up", nil, []Method{ByTPM{Unsealer: dev, PIN: answers()}}, second.ID, []string{"tpm2 (slot 3): no answer"}},
		{"wrong PIN to the end", nil, []Method{ByTPM{Unsealer: dev, PIN: answers("1", "2", "3", "4"), Tries: 2}}, second.ID,
			[]string{"tpm2 (slot 3): wrong PIN", "tpm2 (slot 3): wrong PIN", "tpm2 (slot 3): asked for the PIN 2 times: no answer"}},
		{"the new one fails, the old one opens", map[string]error{blobOf(second): broken}, []Method{ByTPM{Unsealer: dev}}, first.ID,
			[]string{"tpm2 (slot 3): a PIN is needed", "tpm2 (slot 2): PCR 7 changed"}},
		{"all fail, the passphrase opens", map[string]error{blobOf(first): broken, blobOf(second): broken},
			[]Method{ByTPM{Unsealer: dev}, ByTyping{Ask: answers("a long passphrase\n"), Tries: 3}}, 4,
			[]string{"tpm2 (slot 3): a PIN is needed", "tpm2 (slot 2): PCR 7 changed", "tpm2 (slot 1): PCR 7 changed"}},
		{"wrong passphrase, then the recovery key", nil,
			[]Method{ByTyping{Ask: answers("not it at all", key.Reveal()), Tries: 3}}, 0,
			[]string{"passphrase (slot 4): the key does not fit"}},
		{"foreign recovery key", nil, []Method{ByTyping{Ask: answers(NewRecoveryKey().Reveal()), Tries: 1}}, -1,
			[]string{"recovery (slot 0): the key does not fit", "passphrase (slot 4): the key does not fit"}},
		{"nobody types", nil, []Method{ByTyping{Ask: answers()}}, -1, []string{"recovery: no answer"}},
		{"key file that is not there", nil, []Method{ByKeyFile{Kind: KindKeyStick, Read: func(context.Context) ([]byte, error) { return nil, os.ErrNotExist }}}, -1,
			[]string{"key-stick: file does not exist"}},
		{"key file without a slot", nil, []Method{ByKeyFile{Kind: KindKeyStick, Read: func(context.Context) ([]byte, error) { return NewKeyFile(), nil }}}, -1,
			[]string{"key-stick: the volume has no slot for this"}},
		{"no method", nil, nil, -1, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dev.fail = tt.fail
			v, err := inspect(t, m).Unlock(ctx, tt.methods...)
			var outcomes []Outcome
			opened := -1
			if err == nil {
				opened, outcomes = v.Slot.ID, v.Outcomes
				v.Close()
			} else {
				var locked *LockedError
				if !errors.As(err, &locked) {
					t.Fatal(err)
				}
				outcomes = locked.Outcomes
			}
			if opened != tt.opened || len(outcomes) != len(tt.outcomes) {
				t.Fatalf("opened by slot %d, want %d; outcomes %v", opened, tt.opened, outcomes)
			}
			for i, o := range outcomes {
				if o.String() != tt.outcomes[i] {
					t.Errorf("outcome %d: %q, want %q", i, o, tt.outcomes[i])
				}
			}
		})
	}
	t.Run("typed errors reach the caller", func(t *testing.T) {
		dev.fail = nil
		_, err := inspect(t, m).Unlock(ctx, ByTyping{Ask: answers("wrong passphrase"), Tries: 1})
		if !errors.Is(err, ErrWrongKey) || strings.Contains(err.Error(), "wrong passphrase") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		stopped, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := inspect(t, m).Unlock(stopped, ByKey("x")); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("arranged by the volume's order", func(t *testing.T) {
		a, b, c, d := ByTPM{Tries: 1}, ByTyping{Tries: 2}, ByTyping{Tries: 3}, ByKeyFile{Kind: KindKeyStick}
		got := inspect(t, m).Arrange(map[Kind]Method{KindRecovery: c, KindKeyStick: d, KindPassphrase: b, KindTPM2: a})
		if len(got) != 4 || got[0].(ByTPM).Tries != 1 || got[1].(ByTyping).Tries != 2 || got[2].(ByKeyFile).Kind != KindKeyStick || got[3].(ByTyping).Tries != 3 {
			t.Errorf("arranged %v", got)
		}
	})
}

// TestPINChanged: while a PIN is being changed the old one opens until the new one has.
func TestPINChanged(t *testing.T) {
	ctx := context.Background()
	m, key := newVolume(t, FormatOptions{Order: []Kind{KindTPM2}})
	auth := []byte(key.Reveal())
	dev := newMemoryTPM()
	var slots []*Slot
	for _, pin := range []string{"old pin", "new pin"} {
		s, err := m.AddTPM2(ctx, auth, dev, TPM2Options{Policy: tpm.Policy{PIN: true}, PIN: []byte(pin)})
		if err != nil {
			t.Fatal(err)
		}
		slots = append(slots, s)
	}
	for _, tt := range []struct {
		name     string
		typed    []string
		opened   *Slot
		outcomes string
	}{
		{"the new one", []string{"new pin"}, slots[1], "[]"},
		{"the old one", []string{"old pin"}, slots[0], "[tpm2 (slot 2): wrong PIN]"},
		{"a wrong one, then the old one", []string{"pin", "old pin"}, slots[0],
			"[tpm2 (slot 2): wrong PIN tpm2 (slot 1): wrong PIN tpm2 (slot 2): wrong PIN]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v, err := inspect(t, m).Unlock(ctx, ByTPM{Unsealer: dev, PIN: answers(tt.typed...)})
			if err != nil {
				t.Fatal(err)
			}
			defer v.Close()
			if v.Slot.ID != tt.opened.ID || fmt.Sprint(v.Outcomes) != tt.outcomes {
				t.Errorf("slot %d after %v", v.Slot.ID, v.Outcomes)
			}
		})
	}
}

// TestSealAgain: the first process hands a key with the PIN that was typed to the
// running box, which does not know the PIN.
func TestSealAgain(t *testing.T) {
	ctx := context.Background()
	m, key := newVolume(t, FormatOptions{Order: []Kind{KindTPM2}})
	dev := newMemoryTPM()
	if _, err := m.AddTPM2(ctx, []byte(key.Reveal()), dev, TPM2Options{Policy: tpm.Policy{PIN: true}, PIN: []byte("246810"), State: StateProvisional}); err != nil {
		t.Fatal(err)
	}
	h := inspect(t, m)
	v, err := h.Unlock(ctx, ByTPM{Unsealer: dev, PIN: answers("246810")})
	if err != nil {
		t.Fatal(err)
	}
	if !h.NeedsPIN(v.OpenedBy("a")) {
		t.Error("no PIN is needed for the next slot")
	}
	sealed, err := v.SealAgain(ctx, dev, tpm.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	opened := v.OpenedBy("a")
	v.Close()
	if _, err := v.SealAgain(ctx, dev, tpm.Policy{}); !errors.Is(err, ErrNoPIN) {
		t.Errorf("after Close: %v", err)
	}

	file, err := sealed.Encode()
	if err != nil {
		t.Fatal(err)
	}
	read, err := ParseSealedKey(file)
	if err != nil {
		t.Fatal(err)
	}
	added, err := m.AddSealed(ctx, []byte(key.Reveal()), read)
	if err != nil {
		t.Fatal(err)
	}
	if !added.PIN || added.State != StateCandidate || added.Generation != 2 {
		t.Errorf("added %+v", added)
	}
	h = inspect(t, m)
	if v, err = h.Unlock(ctx, ByTPM{Unsealer: dev, PIN: answers("246810")}); err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if v.Slot.ID != added.ID || h.NeedsPIN(v.OpenedBy("a")) {
		t.Errorf("opened by slot %d", v.Slot.ID)
	}
	if h.NeedsPIN(Opened{UUID: h.UUID, Slot: opened.Slot, Kind: KindMaintenance}) {
		t.Error("a record that does not fit the header asks for a PIN")
	}

	t.Run("opened by the recovery key", func(t *testing.T) {
		v, err := h.Unlock(ctx, ByTyping{Ask: answers(key.Reveal())})
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		if !h.NeedsPIN(v.OpenedBy("a")) {
			t.Error("no PIN is needed")
		}
		if _, err := v.SealAgain(ctx, dev, tpm.Policy{}); !errors.Is(err, ErrNoPIN) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("not whole", func(t *testing.T) {
		for _, text := range []string{"", "{}", strings.Replace(string(file), `"secret":"`, `"secret":"AAAA`, 1), string(file) + "{}"} {
			if _, err := ParseSealedKey([]byte(text)); err == nil {
				t.Errorf("%.40s is taken", text)
			}
		}
	})
}

// TestBrokenTPMTokenIsReported: a token that somebody damaged shows up in what
// was tried, and the recovery key still opens the volume.
func TestBrokenTPMTokenIsReported(t *testing.T) {
	ctx := context.Background()
	m, key := newVolume(t, FormatOptions{})
	dev := newMemoryTPM()
	s, err := m.AddTPM2(ctx, []byte(key.Reveal()), dev, TPM2Options{})
	if err != nil {
		t.Fatal(err)
	}
	raw := inspect(t, m).Tokens[2].Raw
	bad := bytes.Replace(raw, []byte(`"tpm2-pcr-bank":"sha256"`), []byte(`"tpm2-pcr-bank":7`), 1)
	c := m.cryptsetup()
	if err := c.removeToken(ctx, s.Token); err != nil {
		t.Fatal(err)
	}
	// Stock cryptsetup refuses such a token, so it is put in as an attacker would.
	head, _, err := pickCopy(bytes.NewReader(readHead(t, m.Device, 1<<20)))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(head.json), `"tokens":{`, `"tokens":{"9":`+string(bad)+`,`, 1)
	writeAt(t, m.Device, pair(head, text, nil), 0)
	_, err = inspect(t, m).Unlock(ctx, ByTPM{Unsealer: dev})
	if !errors.Is(err, ErrToken) || !errors.Is(err, ErrNoSlot) {
		t.Errorf("error %v", err)
	}
	if opens(t, m, []byte(key.Reveal())) != 0 {
		t.Error("the recovery key does not open the volume")
	}
}
