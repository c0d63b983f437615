//go:build e2e

package e2e

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stek-edge/stek/installer/stage1"
	"github.com/stek-edge/stek/test/site"
	"github.com/stek-edge/stek/test/vm"
)

// secret is something private of a box that is kept in a file on its volume.
type secret struct {
	name string
	file string // a pattern of the shell, for one file
	// cut is a filter that leaves the part which is secret and unique. Of a text in
	// PEM form that is one line: line breaks stand between the others, and what comes
	// before the numbers themselves is the same in every key.
	cut string
	// answered says that the answer file on the stick has it, where the office put it.
	answered bool
}

const (
	k3sServer = "/var/lib/rancher/k3s/server/"
	pemEC     = "sed -n 2p"  // RFC 5915: the private number comes first
	pemRSA    = "sed -n 12p" // RFC 8017, A.1.2: of 2048 bits, the private exponent is in lines 6 to 11 and after it the primes
)

// secrets is every secret that lies in a file of a box. Those that lie nowhere are
// in unkept.
var secrets = []secret{
	{name: "datum of a pod", file: "/var/lib/rancher/k3s/storage/*_default_data/kept"},
	{name: "maintenance key", file: "/state/stek/maintenance.key"},
	{name: "root's password", file: "/etc/shadow", cut: `sed -n 's/^root:\([^:]*\):.*/\1/p'`, answered: true},
	{name: "SSH host key (ed25519)", file: "/etc/ssh/ssh_host_ed25519_key", cut: "sed -n 5p"}, // the seed; the public key ends in line 4
	{name: "SSH host key (ecdsa)", file: "/etc/ssh/ssh_host_ecdsa_key", cut: "sed -n 7p"},
	{name: "SSH host key (rsa)", file: "/etc/ssh/ssh_host_rsa_key", cut: "sed -n 20p"},
	{name: "k3s token", file: k3sServer + "token", cut: "cut -d: -f4"},
	{name: "k3s node password", file: "/etc/rancher/node/password"},
	{name: "k3s server CA", file: k3sServer + "tls/server-ca.key", cut: pemEC},
	{name: "k3s client CA", file: k3sServer + "tls/client-ca.key", cut: pemEC},
	{name: "k3s request header CA", file: k3sServer + "tls/request-header-ca.key", cut: pemEC},
	{name: "k3s service account key", file: k3sServer + "tls/service.key", cut: pemRSA},
	{name: "k3s admin's client key", file: "/etc/rancher/k3s/k3s.yaml", cut: "sed -n 's/.*client-key-data: //p'"},
	{name: "k3s key for secrets", file: k3sServer + "cred/encryption-config.json", cut: `grep -o '"secret":"[^"]*' | cut -d'"' -f4`},
}

// read runs a command on the box and returns its output to the byte, but for a line
// break at the end.
func (b *testBox) read(t *testing.T, command string) []byte {
	t.Helper()
	value, err := hex.DecodeString(b.run(t, command+` | od -An -v -tx1 | tr -d ' \n'`))
	must(t, err)
	return bytes.TrimRight(value, "\n")
}

// kept reads the secrets of a box, each at two places: in its file, and in the block of
// the opened mapping where the file system keeps it. So what is looked for later is
// known to be there, in a form that the same search finds.
func (b *testBox) kept(t *testing.T) []vm.Canary {
	t.Helper()
	b.run(t, "systemctl start ssh; sync; echo 3 > /proc/sys/vm/drop_caches")
	mapping := b.run(t, "findmnt -no SOURCE /state")
	var all []vm.Canary
	for _, s := range secrets {
		file := b.run(t, "ls -d "+s.file)
		command := "cat " + file
		if s.cut != "" {
			command += " | " + s.cut
		}
		c := vm.Canary{Name: s.name, Value: b.read(t, command)}
		// filefrag(8): "ext: logical_offset: physical_offset: length: …", here in blocks of 4096.
		block := b.run(t, "filefrag -b4096 -e "+file+` | sed -n 's/^ *0: *0\.\. *[0-9]*: *\([0-9]*\)\.\..*/\1/p'`)
		content := b.read(t, "dd if="+mapping+" bs=4096 count=1 status=none iflag=direct skip="+block)
		found, err := vm.Scan(t.Context(), bytes.NewReader(content), c)
		if err != nil || len(found) == 0 {
			t.Errorf("%s is not in block %s of the opened mapping, where %s is: %v", s.name, block, file, err)
		}
		all = append(all, c)
	}
	return all
}

// unkept gathers the secrets that open the volume and lie on no disk. It needs the box
// that runs, and what the office has.
func (b *testBox) unkept(t *testing.T) []vm.Canary {
	t.Helper()
	recovery, err := b.site.RecoveryKey(t.Context())
	must(t, err)
	const file = "/run/volume.key" // on a tmpfs
	b.run(t, "cryptsetup luksDump --batch-mode --dump-volume-key --key-file /state/stek/maintenance.key --volume-key-file "+
		file+" "+b.opened(t).Device+" >/dev/null")
	volume := b.read(t, "cat "+file)
	if len(volume) != 64 {
		t.Fatalf("the volume key has %d bytes", len(volume))
	}
	// Two keys make one of XTS (IEEE 1619); half of it is as secret as all.
	return []vm.Canary{
		{Name: "recovery key", Value: []byte(recovery)},
		{Name: "volume key, first half", Value: volume[:32]},
		{Name: "volume key, second half", Value: volume[32:]},
	}
}

// opened is what stage1 has left about how it opened the volume.
func (b *testBox) opened(t *testing.T) stage1.Unlocked {
	t.Helper()
	var u stage1.Unlocked
	must(t, json.Unmarshal(b.read(t, "cat "+stage1.UnlockFile), &u))
	return u
}

// checkAbsent looks for canaries on a switched-off box's disk and on its stick. What the
// office wrote into the answer file stands there once, and nowhere else.
func checkAbsent(t *testing.T, s *site.Site, canaries []vm.Canary) {
	t.Helper()
	answered := map[string]bool{}
	for _, known := range secrets {
		answered[known.name] = known.answered
	}
	for _, file := range []string{s.Disk, s.Stick} {
		found, err := vm.ScanFile(t.Context(), file, canaries...)
		must(t, err)
		expected := map[string]bool{}
		for _, f := range found {
			if file == s.Stick && answered[f.Canary] && f.Form == "raw" && !expected[f.Canary] {
				expected[f.Canary] = true
				continue
			}
			t.Errorf("%s: %s", filepath.Base(file), f)
		}
		for name, is := range answered {
			if is && file == s.Stick && !expected[name] {
				t.Errorf("%s is not in the answer file: the search finds nothing", name)
			}
		}
	}
	var names []string
	for _, c := range canaries {
		names = append(names, fmt.Sprintf("%s (%d bytes)", c.Name, len(c.Value)))
	}
	t.Logf("absent from disk and stick, in every form: %s", strings.Join(names, ", "))
}
