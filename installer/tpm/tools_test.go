package tpm

import (
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/stek-edge/stek/test/swtpm"
)

const (
	sePolicy = tpm2.TPMSEPolicy
	seTrial  = tpm2.TPMSETrial
	rcValue  = tpm2.TPMRCValue
)

// tools stops an emulator, runs commands of tpm2-tools on its state, and starts it again.
// Words are separated by spaces. It returns what the last command printed.
func tools(t testing.TB, emu *swtpm.TPM, commands ...string) string {
	t.Helper()
	dir := t.TempDir()
	var out []byte
	err := emu.Lend(func(tcti string) {
		for _, c := range commands {
			words := strings.Fields(c)
			cmd := exec.Command(words[0], words[1:]...)
			cmd.Dir, cmd.Env = dir, append(os.Environ(), "TPM2TOOLS_TCTI="+tcti)
			var err error
			if out, err = cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", c, err, out)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestPolicyDigests compares the digests computed here with those of the TPM in a trial
// session, by tpm2-tools.
func TestPolicyDigests(t *testing.T) {
	emu := swtpm.Start(t)
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	values := PCRs{4: ReplayPCR(nil, []byte("a")), 7: ReplayPCR(nil, []byte("b")), 15: make([]byte, 32)}
	var concat []byte
	for _, n := range values.Numbers() {
		concat = append(concat, values[n]...)
	}
	pcrFile := write("pcrs", concat)

	s := &Signed{Key: &signingKey().PublicKey, PCRs: []int{11}}
	names := map[uint32]string{}
	for _, e := range []uint32{defaultExponent, zeroExponent} {
		object, err := s.object(e)
		if err != nil {
			t.Fatal(err)
		}
		pub := tpm2.New2B(object)
		file := write("pub", tpm2.Marshal(pub))
		tools(t, emu, "tpm2_loadexternal -C o -u "+file+" -c key.ctx -n "+filepath.Join(dir, hex.EncodeToString([]byte{byte(e)})))
		names[e] = filepath.Join(dir, hex.EncodeToString([]byte{byte(e)}))
	}
	zero := write("zero", make([]byte, 32))

	pcr := "tpm2_policypcr -S s.ctx -l sha256:4,7,15 -f " + pcrFile + " -L digest"
	pin := "tpm2_policyauthvalue -S s.ctx -L digest"
	auth := func(e uint32) string {
		return "tpm2_policyauthorize -S s.ctx -i " + zero + " -n " + names[e] + " -L digest"
	}
	for _, c := range []struct {
		name     string
		policy   Policy
		exponent uint32
		commands []string
	}{
		{"literal", Policy{Literal: values}, defaultExponent, []string{pcr}},
		{"pin", Policy{PIN: true}, defaultExponent, []string{pin}},
		{"signed", Policy{Signed: s}, defaultExponent, []string{auth(defaultExponent)}},
		{"signed, exponent 0", Policy{Signed: s}, zeroExponent, []string{auth(zeroExponent)}},
		{"all", Policy{Signed: s, Literal: values, PIN: true}, defaultExponent, []string{auth(defaultExponent), pcr, pin}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.policy.digest(c.exponent)
			if err != nil {
				t.Fatal(err)
			}
			all := append([]string{"tpm2_startauthsession -S s.ctx -g sha256"}, c.commands...)
			out := tools(t, emu, append(all, "tpm2_flushcontext s.ctx", "cat digest")...)
			if string(got) != out {
				t.Errorf("computed %x, the TPM says %x", got, out)
			}
		})
	}
}
