package root

import (
	"bytes"
	"path"
	"slices"
	"strings"
	"testing"
)

func testBase(t *testing.T) *Tree {
	t.Helper()
	base := mkTree(t,
		File("usr/bin/bash", 0o755, []byte("bash")), File("usr/bin/perl", 0o755, []byte("perl")), Dir("usr/lib", 0o755), Link("lib", "usr/lib"),
		File("etc/machine-id", 0o444, []byte("0123")), File("etc/hostname", 0o644, []byte("host")), File("etc/passwd-", 0o600, nil),
		File("etc/ssh/ssh_host_rsa_key", 0o600, []byte("key")), File("etc/ssh/sshd_config", 0o644, nil), File("etc/ssl/private/key", 0o600, nil),
		File(dpkgStatus, 0o644, []byte("Package: bash\n")), File("var/cache/apt/pkgcache.bin", 0o644, nil), File("run/x", 0o644, nil),
		Entry{Path: "var/mail", Kind: Directory, Perm: 0o2775, GID: 8}, Dir("var/tmp", 0o1777), Link("var/spool/mail", "../mail"),
		File("usr/lib/tmpfiles.d/tmp.conf", 0o644, []byte("q /var/tmp 1777 root root 30d\n")),
		File("boot/vmlinuz-"+testKernel, 0o644, []byte("MZkernel")), File("usr/lib/os-release", 0o644, []byte("ID=debian\n")),
		File("usr/lib/systemd/boot/efi/systemd-bootx64.efi", 0o644, []byte("MZboot")), File("usr/lib/systemd/boot/efi/linuxx64.efi.stub", 0o644, []byte("MZstub")),
		File("usr/lib/firmware/wanted/real.bin", 0o644, []byte("fw")), Link("usr/lib/firmware/card.bin", "wanted/real.bin"),
		File("usr/lib/firmware/other.bin", 0o644, []byte("fw2")), Link("usr/lib/firmware/broken.bin", "nowhere"),
		Link("usr/lib/firmware/regulatory.db", "/etc/alternatives/regulatory.db"), Link("etc/alternatives/regulatory.db", "/lib/firmware/regulatory.db-debian"),
		File("usr/lib/firmware/regulatory.db-debian", 0o644, []byte("db")))
	mkKernel(t, base)
	return base
}

func assemble(t *testing.T, overlay ...Entry) (*Tree, *Report) {
	t.Helper()
	tree, report, err := Assemble(t.Context(), testBase(t), Assembly{
		Epoch: epoch, Runner: Exec{}, WorkDir: t.TempDir(), Overlay: overlay,
		RootRules:     []byte("drop usr/bin/perl*\ndrop etc/*-\ndrop boot/*\ndrop never/there\n"),
		ModulesRules:  []byte("keep kernel/drivers/net\nkeep kernel/fs\n"),
		FirmwareRules: []byte("keep card.bin\nkeep broken.bin\nkeep regulatory.db\n"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree, report
}

func TestAssemble(t *testing.T) {
	tree, report := assemble(t, File("usr/bin/stek", 0o755, []byte("stek")), Dir("state", 0o755), Link("usr/bin/kubectl", "k3s"))
	kernel := "usr/lib/modules/" + testKernel + "/kernel/"
	for name, want := range map[string]bool{
		"usr/bin/bash": true, "usr/bin/stek": true, "usr/bin/kubectl": true, "state": true, "etc/ssh/sshd_config": true, "boot": true,
		"usr/bin/perl": false, "etc/hostname": false, "etc/passwd-": false, "etc/ssh/ssh_host_rsa_key": false, "etc/ssl/private/key": false,
		"boot/vmlinuz-" + testKernel: false, "run/x": false, "var/mail": false, "var/lib/dpkg": false,
		kernel + "drivers/net/veth.ko.xz":       true,
		kernel + "net/ipv4/udp_tunnel.ko.xz":    true,  // vxlan needs its symbol
		kernel + "crypto/crc32c_generic.ko.xz":  true,  // ext4 asks for it by alias
		kernel + "sound/soundcore.ko.xz":        false, // no rule keeps it
		"usr/lib/firmware/card.bin":             true,
		"usr/lib/firmware/wanted/real.bin":      true, // what the link points to
		"usr/lib/firmware/regulatory.db-debian": true, // over /etc/alternatives
		"usr/lib/firmware/other.bin":            false,
		"usr/lib/firmware/broken.bin":           false,
	} {
		if _, ok := tree.Get(name); ok != want {
			t.Errorf("%s: in the root is %v, want %v", name, ok, want)
		}
	}
	for name, want := range map[string]string{
		"etc/machine-id": "", "etc/.updated": "", PackagesStatus: "Package: bash\n",
		varTmpfiles: "# Folders that packages have below /var, which is each box's own.\n" +
			"L /var/lib/dpkg - - - - ../../usr/lib/sysimage/dpkg\n" +
			"d /var/cache 0755 0 0 -\nd /var/lib 0755 0 0 -\nd /var/mail 2775 0 8 -\nd /var/spool 0755 0 0 -\nL /var/spool/mail - - - - ../mail\n",
	} {
		if got, err := readFile(tree, name); err != nil || string(got) != want {
			t.Errorf("%s is %q, %v; want %q", name, got, err, want)
		}
	}
	dep, err := readFile(tree, "usr/lib/modules/"+testKernel+"/modules.dep")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(dep), "soundcore") || !strings.Contains(string(dep), "vxlan.ko.xz: kernel/net/ipv4/udp_tunnel.ko.xz") {
		t.Errorf("modules.dep was not made anew:\n%s", dep)
	}
	if report.KernelVersion != testKernel || !slices.Equal(report.UnusedRules, []string{"root.rules: drop never/there"}) || report.DroppedBytes == 0 {
		t.Errorf("report is %+v", report)
	}
	again, _ := assemble(t, File("usr/bin/stek", 0o755, []byte("stek")), Dir("state", 0o755), Link("usr/bin/kubectl", "k3s"))
	if !bytes.Equal(writeTar(t, tree), writeTar(t, again)) {
		t.Error("assembling twice gave two roots")
	}
}

func TestAssembleKeepsWhatIsAskedFor(t *testing.T) {
	a := Assembly{
		Epoch: epoch, Runner: Exec{}, WorkDir: t.TempDir(), RootRules: []byte("drop boot/*\n"), ModulesRules: []byte("drop **\n"), FirmwareRules: []byte("drop **\n"),
		KeepModules: []string{"**/soundcore"}, KeepFirmware: []string{"other.*"},
	}
	tree, _, err := Assemble(t.Context(), testBase(t), a)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		"usr/lib/modules/" + testKernel + "/kernel/sound/soundcore.ko.xz":  true,
		"usr/lib/modules/" + testKernel + "/kernel/drivers/net/veth.ko.xz": false,
		"usr/lib/firmware/other.bin":                                       true, "usr/lib/firmware/card.bin": false,
	} {
		if _, ok := tree.Get(name); ok != want {
			t.Errorf("%s: in the root is %v, want %v", name, ok, want)
		}
	}
	a.KeepModules, a.KeepFirmware = []string{"**/no_such"}, []string{"none/*"}
	_, _, err = Assemble(t.Context(), testBase(t), a)
	if err == nil || !strings.Contains(err.Error(), `no kernel module of these packages matches "**/no_such"`) || !strings.Contains(err.Error(), `no firmware file of these packages matches "none/*"`) {
		t.Errorf("error is %v", err)
	}
}

func TestAssembleRefusesWhatIsPrivateOrHidden(t *testing.T) {
	for _, name := range []string{"etc/machine-id", "etc/hostname", "etc/ssh/ssh_host_ed25519_key", "var/lib/x", "run/y", "tmp/z"} {
		t.Run(path.Base(name), func(t *testing.T) {
			_, _, err := Assemble(t.Context(), mkTree(t), Assembly{Epoch: epoch, Runner: Exec{}, Overlay: []Entry{File(name, 0o644, nil)}})
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("error is %v, want one about %s", err, name)
			}
		})
	}
}

func TestReadBootFiles(t *testing.T) {
	b, err := ReadBootFiles(testBase(t), "amd64")
	if err != nil {
		t.Fatal(err)
	}
	if b.KernelVersion != testKernel || string(b.Kernel) != "MZkernel" || string(b.SystemdBoot) != "MZboot" || string(b.Stub) != "MZstub" || string(b.OSRelease) != "ID=debian\n" {
		t.Errorf("boot files are %+v", b)
	}
	if _, err := ReadBootFiles(testBase(t), "arm64"); err == nil {
		t.Error("boot files of another architecture were found")
	}
	if _, err := ReadBootFiles(mkTree(t), "amd64"); err == nil {
		t.Error("boot files were found in an empty base")
	}
}

func TestParts(t *testing.T) {
	tree, _ := assemble(t, File("usr/bin/k3s", 0o755, []byte("k3s")), File("usr/share/stek/images/a.tar.zst", 0o644, []byte("img")))
	got := map[string]int64{}
	for _, p := range tree.Parts() {
		got[p.Part] = p.Bytes
	}
	for part, want := range map[string]int64{"k3s": 3, "container images": 3, "programs": 4, "firmware": 4} {
		if got[part] != want {
			t.Errorf("%s takes %d bytes, want %d", part, got[part], want)
		}
	}
}
