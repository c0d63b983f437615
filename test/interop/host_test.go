package interop

import (
	"strings"
	"testing"

	"github.com/stek-edge/stek/installer/vault"
)

// TestStockEnrolled: what this machine's systemd-cryptenroll seals opens here.
func TestStockEnrolled(t *testing.T) {
	for _, e := range enrolments {
		t.Run(e.name, func(t *testing.T) { opensStock(t, e, host) })
	}
}

// TestStockRecoveryKey: a recovery key made by systemd-cryptenroll, typed here.
func TestStockRecoveryKey(t *testing.T) {
	b := newBox(t)
	out, err := host(t, b.dir, nil, nil, "systemd-cryptenroll", "--unlock-key-file=key", "--recovery-key", "state.img")
	if err != nil {
		t.Fatal(err)
	}
	key, err := vault.ParseRecoveryKey(strings.TrimSpace(out))
	if err != nil {
		t.Fatal(err)
	}
	v, err := b.header().Unlock(t.Context(), vault.ByKey(key.Reveal()))
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if v.Slot.Kind != vault.KindRecovery || v.Slot.ID != 2 {
		t.Errorf("opened by %+v", v.Slot)
	}
}

// TestRecoveryKeyInStockTools: the key from the site's papers, typed into cryptsetup; and
// systemd-cryptenroll knows every slot for what it is.
func TestRecoveryKeyInStockTools(t *testing.T) {
	b := newBox(t)
	b.enrol(enrolments[0])
	if _, err := host(t, b.dir, []byte(b.recovery.Reveal()+"\n"), nil, "cryptsetup", "open", "--test-passphrase", "state.img"); err != nil {
		t.Error(err)
	}
	if _, err := host(t, b.dir, []byte(vault.NewRecoveryKey().Reveal()+"\n"), nil, "cryptsetup", "open", "--test-passphrase", "state.img"); err == nil {
		t.Error("another recovery key opens the disk")
	}
	out, err := host(t, b.dir, nil, nil, "systemd-cryptenroll", "state.img")
	if err != nil {
		t.Fatal(err)
	}
	var types []string
	for line := range strings.Lines(out) {
		if fields := strings.Fields(line); len(fields) == 2 && fields[0] != "SLOT" {
			types = append(types, fields[0]+" "+fields[1])
		}
	}
	if got, want := strings.Join(types, ", "), "0 recovery, 1 other, 2 tpm2"; got != want {
		t.Errorf("systemd-cryptenroll lists %s, want %s\n%s", got, want, out)
	}
}

// TestHeaderBackup: the office decrypts the header's backup with age, and plain
// cryptsetup writes it back over a header that is lost.
func TestHeaderBackup(t *testing.T) {
	b := newBox(t)
	b.enrol(enrolments[0])
	b.backUp()
	for _, words := range [][]string{
		{"dd", "if=/dev/zero", "of=state.img", "bs=1M", "count=16", "conv=notrunc", "status=none"},
		{"age", "--decrypt", "-i", "office.key", "-o", "header", "header-backup.age"},
		{"cryptsetup", "luksHeaderRestore", "--batch-mode", "--header-backup-file", "header", "state.img"},
	} {
		if _, err := host(t, b.dir, nil, nil, words...); err != nil {
			t.Fatal(err)
		}
		if words[0] == "dd" {
			if _, err := vault.Inspect(b.volume.Device); err == nil {
				t.Fatal("the header was not lost")
			}
		}
	}
	v, err := b.header().Unlock(t.Context(), vault.ByTPM{Unsealer: b.start()})
	if err != nil {
		t.Fatal(err)
	}
	v.Close()
	if _, err := host(t, b.dir, []byte(b.recovery.Reveal()), nil, "cryptsetup", "open", "--test-passphrase", "state.img"); err != nil {
		t.Error(err)
	}
}
