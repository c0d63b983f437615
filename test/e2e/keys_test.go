//go:build e2e

package e2e

import (
	"crypto/rand"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stek-edge/stek/test/site"
	"github.com/stek-edge/stek/test/vm"
)

// TestFullPIN is a box whose TPM asks for a PIN, without Secure Boot: the installer's key
// is replaced by one that is bound to this machine although the PIN is never stored.
// Then the PIN is taken away and given again.
func TestFullPIN(t *testing.T) {
	ctx := t.Context()
	const pin = "2468 10"
	s := newSite(t, site.Options{PIN: pin})
	box := powerOn(t, s, s.Machine)
	phase(t, "installed", func() (vm.Match, error) { return box.WaitInstalled(ctx) })
	must(t, box.TypePIN(ctx, pin))
	phase(t, "disk opened by the first key", func() (vm.Match, error) { return box.WaitOpened(ctx) })
	must(t, box.LogIn(ctx))
	if s := box.status(t); s.OpenedBy != "tpm2" || s.Binding != "provisional" || len(s.Slots) != 4 {
		t.Errorf("after the first start the node says %+v", s)
	}
	box.run(t, "test ! -e /run/stek/sealed-key.json")

	again := func(what string, pins ...string) *testBox {
		t.Helper()
		must(t, box.PowerCut())
		box = powerOn(t, s, s.WithoutStick())
		for _, typed := range pins {
			must(t, box.TypePIN(ctx, typed))
		}
		phase(t, what, func() (vm.Match, error) { return box.WaitOpened(ctx) })
		must(t, box.LogIn(ctx))
		if s := box.status(t); s.OpenedBy != "tpm2" || s.Binding != "bound" || len(s.Slots) != 3 {
			t.Errorf("%s: the node says %+v", what, s)
		}
		return box
	}
	box = again("opened by the bound key, after a wrong PIN", "111111", pin)
	box.run(t, "stek key reseal --no-pin")
	box = again("opened without a PIN")
	if s := box.status(t); s.Slots[len(s.Slots)-1].PIN {
		t.Error("the key still has a PIN")
	}
	box.run(t, `printf 'other pin\nother pin\n' | stek key reseal --pin`)
	box = again("opened with the other PIN", "other pin")
	if out := box.run(t, "stek key test"); !strings.Contains(out, "the TPM knows this key") {
		t.Errorf("stek key test: %s", out)
	}
}

// refuseImage adds an image to the list of those that the firmware refuses, as an
// update of dbx by its owner does, on a running box.
func refuseImage(t *testing.T, box *testBox) {
	t.Helper()
	dir := t.TempDir()
	hash := make([]byte, 32)
	rand.Read(hash)
	must(t, os.WriteFile(filepath.Join(dir, "hash"), hash, 0o600))
	keys := filepath.Join(cacheDir(), "keys")
	for _, args := range [][]string{
		{"sbsiglist", "--owner", "77fa9abd-0359-4d32-bd60-28f4e78f784b", "--type", "sha256", "--output", filepath.Join(dir, "list"), filepath.Join(dir, "hash")},
		{"sbvarsign", "--key", filepath.Join(keys, "kek.key"), "--cert", filepath.Join(keys, "kek.crt"), "--include-attrs",
			"--attrs", "NON_VOLATILE,BOOTSERVICE_ACCESS,RUNTIME_ACCESS,TIME_BASED_AUTHENTICATED_WRITE_ACCESS,APPEND_WRITE",
			"--output", filepath.Join(dir, "update"), "dbx", filepath.Join(dir, "list")},
	} {
		if out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", args[0], err, out)
		}
	}
	update, err := os.ReadFile(filepath.Join(dir, "update"))
	must(t, err)
	box.run(t, ": > /run/dbx.base64")
	for text := base64.StdEncoding.EncodeToString(update); text != ""; {
		piece := text[:min(len(text), 1000)]
		text = text[len(piece):]
		box.run(t, "printf %s "+piece+" >> /run/dbx.base64")
	}
	const dbx = "/sys/firmware/efi/efivars/dbx-d719b2cb-3d3a-4596-a3bc-dad00e67656f"
	box.run(t, "base64 -d /run/dbx.base64 > /run/dbx && { chattr -i "+dbx+" 2>/dev/null; cat /run/dbx > "+dbx+"; }")
}
