package attack

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stek-edge/stek/installer/tpm"
	"github.com/stek-edge/stek/installer/vault"
)

const (
	refusedRemedy = "no key was tried: look at the box and its disk first, somebody may have changed the volume; with a backup of the header it can be written back from a rescue system"
	lookingAt     = "looking at the encrypted volume on %s: %s"
)

// TestReplacedVolume: something else lies where the volume was.
func TestReplacedVolume(t *testing.T) {
	// The attacker knows every key of the volume, and its UUID is the old one. The TPM
	// knows the difference.
	t.Run("another LUKS volume with the same UUID", func(t *testing.T) {
		b := installed(t, signedPolicy)
		uuid := b.uuid()
		evil, _ := newVolume(t, uuid)
		cryptsetup(t, []byte("known"), "luksFormat", "--batch-mode", "--type", "luks2", "--uuid", uuid, "--label", "stek-state",
			"--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--", evil.Device, "-")
		b.volume = evil
		s := b.start(genuine)
		s.locked(t, "- tpm2: the volume has no slot for this")
		v, err := b.header().Unlock(t.Context(), typing("known"))
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		refused(t, b.compare(v), "the encrypted volume ("+uuid+") is not the one this box was installed with", swappedRemedy)
	})

	// As above, with the genuine header's tokens copied over: the TPM gives its key,
	// which fits no slot.
	t.Run("another LUKS volume with the genuine TPM token", func(t *testing.T) {
		b := installed(t, signedPolicy)
		token := cryptsetup(t, nil, "token", "export", "--token-id", "3", b.volume.Device)
		evil, _ := newVolume(t, b.uuid())
		cryptsetup(t, []byte("known"), "luksFormat", "--batch-mode", "--type", "luks2", "--uuid", b.uuid(), "--key-slot", "2",
			"--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--", evil.Device, "-")
		cryptsetup(t, []byte(token), "token", "import", "--token-id", "3", "--json-file", "-", evil.Device)
		b.volume = evil
		b.start(genuine).locked(t, "- tpm2 (slot 2): the key does not fit")
	})

	// A volume that the TPM's own key opens, because the attacker got it to the box
	// while it ran, and whose data are the attacker's.
	t.Run("another volume key under the genuine slots", func(t *testing.T) {
		b := installed(t, signedPolicy)
		b.powerOn(genuine)
		b.measure(11, "enter-initrd")
		secret, err := b.chip.Unseal(t.Context(), &b.header().TPM2Slots()[0].Sealed().Sealed, genuine.signatures(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		token := cryptsetup(t, nil, "token", "export", "--token-id", "3", b.volume.Device)
		evil, _ := newVolume(t, b.uuid())
		cryptsetup(t, base64Of(secret), "luksFormat", "--batch-mode", "--type", "luks2", "--uuid", b.uuid(), "--key-slot", "2",
			"--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--", evil.Device, "-")
		cryptsetup(t, []byte(token), "token", "import", "--token-id", "3", "--json-file", "-", evil.Device)
		b.volume = evil
		s := b.start(genuine)
		if s.kind != vault.KindTPM2 {
			t.Fatalf("this attack did not get as far as the identity: %s", s.screen)
		}
		refused(t, s.identity, "the encrypted volume ("+b.uuid()+") is not the one this box was installed with", swappedRemedy)
	})

	t.Run("a plain file system", func(t *testing.T) {
		b := installed(t, signedPolicy)
		overwrite(t, b.volume.Device, make([]byte, 1<<20), 0)
		if out, err := exec.Command("mkfs.ext4", "-q", "-F", b.volume.Device).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		s := b.start(genuine)
		refused(t, s.failed, fmt.Sprintf(lookingAt, b.volume.Device, "the partition holds no LUKS2 volume"), notLUKSRemedy)
		b.closed(t)
	})

	t.Run("a LUKS1 volume", func(t *testing.T) {
		b := installed(t, signedPolicy)
		cryptsetup(t, []byte("known"), "luksFormat", "--batch-mode", "--type", "luks1", "--pbkdf-force-iterations", "1000", b.volume.Device, "-")
		refused(t, b.start(genuine).failed,
			fmt.Sprintf(lookingAt, b.volume.Device, "the LUKS2 header is refused: version: a LUKS1 volume; only LUKS2 is accepted"), refusedRemedy)
	})

	t.Run("nothing", func(t *testing.T) {
		b := installed(t, signedPolicy)
		overwrite(t, b.volume.Device, make([]byte, 18<<20), 0)
		refused(t, b.start(genuine).failed, fmt.Sprintf(lookingAt, b.volume.Device, "the partition holds no LUKS2 volume"), notLUKSRemedy)
	})

	// Two volumes with one UUID: nothing is looked for by UUID, the booted disk's
	// partition is taken (package stage1), and the TPM knows which one is its own.
	t.Run("a second volume with the same UUID", func(t *testing.T) {
		b := installed(t, signedPolicy)
		newVolume(t, b.uuid())
		b.start(genuine).opened(t, tpmSlot)
	})
}

const notLUKSRemedy = "somebody has overwritten or replaced the encrypted volume: look at the box and its disk before anything else; with a backup of the header it can be written back from a rescue system, otherwise install again"

// closed checks that the TPM is closed after a start that failed, with
// the token of an untouched copy of the box's disk.
func (b *box) closed(t *testing.T) {
	t.Helper()
	untouched := installed(t, signedPolicy) // the same TPM seed, another slot key
	for _, slot := range untouched.header().TPM2Slots() {
		if _, err := b.chip.Unseal(t.Context(), &slot.Sealed().Sealed, genuine.signatures(t), nil); err == nil {
			t.Error("after the failed start the TPM still gives away a key")
		}
	}
}

// TestHeader: what can be done to the LUKS2 header by anybody who holds the disk.
func TestHeader(t *testing.T) {
	t.Run("primary broken", func(t *testing.T) {
		b := installed(t, signedPolicy)
		overwrite(t, b.volume.Device, bytes.Repeat([]byte{0xa5}, 4096), 0)
		if h := b.header(); !h.Broken {
			t.Error("the damage was not noticed")
		}
		s := b.start(genuine)
		s.opened(t, tpmSlot)
		s.opensWith(t, b.recovery, nil)
	})
	t.Run("primary's JSON broken", func(t *testing.T) {
		b := installed(t, signedPolicy)
		overwrite(t, b.volume.Device, []byte("garbage"), 5000)
		b.start(genuine).opened(t, tpmSlot)
	})
	t.Run("both broken", func(t *testing.T) {
		b := installed(t, signedPolicy)
		overwrite(t, b.volume.Device, []byte("garbage"), 5000)
		overwrite(t, b.volume.Device, []byte("garbage"), 32<<10+5000)
		refused(t, b.start(genuine).failed, fmt.Sprintf(lookingAt, b.volume.Device, "both copies of the LUKS2 header are damaged: wrong checksum"),
			"write the backup of the header back from a rescue system; installing again loses what is on the disk")
	})

	const segment = `"encryption":"aes-xts-plain64","sector_size"`
	for _, c := range []struct {
		name, old, new  string
		message, remedy string
	}{
		{"cipher_null", segment, `"encryption":"cipher_null-ecb","sector_size"`,
			`the LUKS2 header is refused: segments.0.encryption: "cipher_null-ecb" is not on the list of ciphers`, refusedRemedy},
		{"linear segment", `"segments":{"0":{"type":"crypt"`, `"segments":{"0":{"type":"linear"`,
			`the LUKS2 header is refused: segments.0.type: "linear" is not encryption`, refusedRemedy},
		{"data moved", `"offset":"16777216"`, `"offset":"16781312"`, "", ""},
		{"re-encryption that did not end", `"config":{`, `"config":{"requirements":{"mandatory":["online-reencrypt-v2"]},`,
			`the volume may not be opened in its present state: it requires ["online-reencrypt-v2"]`,
			"a re-encryption that did not end is finished from a rescue system, with cryptsetup repair and cryptsetup reencrypt --resume-only; if nobody began one, look at the box and its disk first"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := installed(t, signedPolicy)
			b.rewrite(t, func(json string) string { return replaceOnce(t, json, c.old, c.new) })
			s := b.start(genuine)
			if c.message == "" { // whole and allowed, and still the same volume key: the data are not
				s.opened(t, tpmSlot)
				return
			}
			refused(t, s.failed, fmt.Sprintf(lookingAt, b.volume.Device, c.message), c.remedy)
		})
	}

	t.Run("huge JSON area", func(t *testing.T) {
		b := installed(t, signedPolicy)
		for _, at := range []int64{0, 32 << 10} {
			overwrite(t, b.volume.Device, binary.BigEndian.AppendUint64(nil, 4<<20), at+8) // hdr_size
		}
		refused(t, b.start(genuine).failed,
			fmt.Sprintf(lookingAt, b.volume.Device, "both copies of the LUKS2 header are damaged: a header of 4194304 bytes"),
			"write the backup of the header back from a rescue system; installing again loses what is on the disk")
	})

	t.Run("huge argon2 memory", func(t *testing.T) {
		b := installed(t, signedPolicy)
		if _, err := b.volume.AddPassphrase(t.Context(), b.maintenance, []byte("hall seven 7")); err != nil {
			t.Fatal(err)
		}
		b.rewrite(t, func(json string) string { return replaceOnce(t, json, `"memory":65536`, `"memory":4194304`) })
		s := b.start(genuine)
		s.opened(t, tpmSlot)
		_, err := b.header().Unlock(t.Context(), typing("hall seven 7"))
		if want := "the encrypted volume stays locked: passphrase (slot 3): the slot needs more memory or time than is allowed at boot: add it again with stek key add-passphrase"; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		s.opensWith(t, b.recovery, nil)
	})

	t.Run("unknown token", func(t *testing.T) {
		b := installed(t, signedPolicy)
		b.rewrite(t, func(json string) string {
			return replaceOnce(t, json, `"tokens":{`, `"tokens":{"7":{"type":"somebody-else","keyslots":["2"],"what":[1,2,{}]},`)
		})
		b.start(genuine).opened(t, tpmSlot)
	})

	t.Run("damaged TPM token", func(t *testing.T) {
		b := installed(t, signedPolicy)
		b.rewrite(t, func(json string) string {
			return replaceOnce(t, json, `"tpm2-pcr-bank":"sha256"`, `"tpm2-pcr-bank":"sha1"`)
		})
		s := b.start(genuine)
		s.locked(t, `- tpm2 (slot 2): the token uses a feature that is not supported: tpm2-pcr-bank "sha1"`,
			"  open the disk with the recovery key, then enrol the TPM again with stek", "- tpm2: the volume has no slot for this")
		s.opensWith(t, b.recovery, nil)
	})

	t.Run("TPM token with fewer PCRs", func(t *testing.T) {
		b := installed(t, signedPolicy)
		b.rewrite(t, func(json string) string {
			json = replaceOnce(t, json, `"tpm2-pcrs":[7,12,15]`, `"tpm2-pcrs":[7,15]`)
			return replaceOnce(t, json, `"12":"`+strings.Repeat("0", 64)+`",`, "")
		})
		s := b.start(genuine.with(func(c *chain) { c.outside = "init=/bin/sh" }))
		s.locked(t, "- tpm2 (slot 2): the TPM's policy does not hold: the token was changed (PCR 7, 15)",
			"  open the disk with the recovery key and enrol the TPM again; ask who could write to this disk")
		s.opensWith(t, b.recovery, nil)
	})

	// The unlock order is not authentic: at worst a person is asked sooner.
	t.Run("unlock order emptied", func(t *testing.T) {
		b := installed(t, signedPolicy)
		b.rewrite(t, func(json string) string { return replaceOnce(t, json, `"methods":["tpm2"]`, `"methods":[]`) })
		if order := b.header().Order(); len(order) != 0 {
			t.Fatalf("order %v", order)
		}
		b.open(b.recovery).Close()
	})
}

// TestOldHeader writes an old header back. It is a whole, genuine header: keys that were
// removed since open the volume again. What limits the harm is that the TPM slot in it
// is bound to what the TPM accepts now.
func TestOldHeader(t *testing.T) {
	b := installed(t, signedPolicy)
	backup := filepath.Join(t.TempDir(), "header")
	cryptsetup(t, nil, "luksHeaderBackup", "--header-backup-file", backup, b.volume.Device)

	// A new recovery key and a new epoch; the old keys go.
	fresh := vault.NewRecoveryKey()
	if _, err := b.volume.AddRecovery(t.Context(), b.maintenance, fresh); err != nil {
		t.Fatal(err)
	}
	b.seal(func(_ *testing.T, seen tpm.PCRs) tpm.Policy { return signedBy(nextKey(), seen) }, vault.TPM2Options{})
	for _, slot := range []int{recoverySlot, tpmSlot} {
		if err := b.volume.Remove(t.Context(), slot, false); err != nil {
			t.Fatal(err)
		}
	}
	s := b.start(genuine)
	s.locked(t, "- tpm2 (slot 4): the TPM's policy does not hold: the signatures are by another key (PCR 11)", "  "+image11+ifMeant)
	if _, err := b.header().Unlock(t.Context(), typing(b.recovery.Reveal())); err == nil {
		t.Fatal("the removed recovery key opens the disk")
	}

	cryptsetup(t, nil, "luksHeaderRestore", "--batch-mode", "--header-backup-file", backup, b.volume.Device)
	// It is the same volume, so nothing but the office's care for its old papers helps:
	// the statement of a backup says so, and the box keeps one backup only.
	b.open(b.recovery).Close()
	s = b.start(genuine.with(func(c *chain) { c.signer = nextKey() }))
	s.locked(t, "- tpm2 (slot 2): the TPM's policy does not hold: the signatures are by another key (PCR 11)", "  "+image11+ifMeant)
}

// rewrite changes the JSON of both header copies and gives them right checksums, which
// hold no key: anybody can do it.
func (b *box) rewrite(t *testing.T, change func(json string) string) {
	t.Helper()
	const size = 32 << 10
	for _, at := range []int64{0, size} {
		raw := make([]byte, size)
		f, err := os.Open(b.volume.Device)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.ReadAt(raw, at)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		text := change(string(raw[4096 : 4096+bytes.IndexByte(raw[4096:], 0)]))
		clear(raw[4096:])
		copy(raw[4096:], text)
		clear(raw[448:512])
		sum := sha256.Sum256(raw)
		copy(raw[448:], sum[:])
		overwrite(t, b.volume.Device, raw, at)
	}
}

func replaceOnce(t *testing.T, text, old, new string) string {
	t.Helper()
	if !strings.Contains(text, old) {
		t.Fatalf("%s is not in %s", old, text)
	}
	return strings.Replace(text, old, new, 1)
}

func base64Of(secret []byte) []byte { return base64.StdEncoding.AppendEncode(nil, secret) }

func overwrite(t *testing.T, path string, b []byte, at int64) {
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

// TestSecondDisk is about a disk with a state of its own beside the box's: package
// stage1 takes the booted disk only, and here the TPM tells the two apart as well.
func TestSecondDisk(t *testing.T) {
	b, other := installed(t, signedPolicy), freshlyInstalled(t, signedPolicy)
	own := b.srkName()
	v := other.open(other.recovery)
	defer v.Close()
	id, err := v.Identity(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if vault.SameIdentity(b.identity, id[crypto.SHA256]) {
		t.Fatal("two volumes have one identity")
	}
	b.volume = other.volume
	b.start(genuine).locked(t, "- tpm2 (slot 2): alarm: the storage key of this TPM is "+own+", the disk was enrolled with "+b.srkName(), mismatchRemedy)
}
