package uki_test

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stek-edge/stek/firmware/pe"
	"github.com/stek-edge/stek/firmware/uki"
	"github.com/stek-edge/stek/test/petest"
)

// testKey is an RSA key that exists for these tests only, so that signatures
// can be compared with golden ones.
func testKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	text, err := os.ReadFile("testdata/pcr-key.pem")
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key.(*rsa.PrivateKey)
}

// parts are small; the golden values in testdata belong to exactly these.
func parts(t testing.TB) uki.Parts {
	return uki.Parts{
		Stub:      petest.SystemdStub("257.13-1~deb13u1"),
		Kernel:    []byte("a kernel\n"),
		Initrd:    bytes.Repeat([]byte("an initramfs\n"), 1000),
		OSRelease: []byte("ID=stek\n"),
		Cmdline:   "roothash=00 stek.version=1",
		PCRKey:    testKey(t),
	}
}

func build(t testing.TB, p uki.Parts) []byte {
	t.Helper()
	image, err := uki.Build(p)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func parse(t testing.TB, raw []byte) *uki.Image {
	t.Helper()
	image, err := uki.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func TestBuildAndParse(t *testing.T) {
	p := parts(t)
	p.Uname = "6.12.1-amd64"
	p.Microcode = []byte("microcode")
	raw := build(t, p)
	if !bytes.Equal(raw, build(t, p)) {
		t.Fatal("equal parts give different bytes")
	}
	image := parse(t, raw)
	for what, pair := range map[string][2]string{
		"command line": {image.Cmdline(), p.Cmdline},
		"os-release":   {image.OSRelease(), string(p.OSRelease)},
		"uname":        {image.Uname(), p.Uname},
		"kernel":       {string(image.Kernel()), string(p.Kernel)},
		"initramfs":    {string(image.Initrd()), string(p.Initrd)},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %q, want %q", what, pair[0], pair[1])
		}
	}
	var names []string
	for _, s := range image.Sections() {
		names = append(names, fmt.Sprintf("%s:%v", s.Name, s.Measured))
	}
	want := ".text:false .sdmagic:false .linux:true .osrel:true .cmdline:true .initrd:true .ucode:true .uname:true .pcrpkey:true .pcrsig:false"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("sections\n%s, want\n%s", got, want)
	}
}

// The golden values were printed by systemd-measure (see testdata/README.md),
// for the sections that it knows in every version.
func TestPredictionAgreesWithSystemdMeasure(t *testing.T) {
	image := parse(t, build(t, parts(t)))
	golden, err := os.ReadFile("testdata/systemd-measure.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(golden)) {
		phase, want, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			t.Fatalf("golden line %q", line)
		}
		var phases []string
		if phase != "-" {
			phases = strings.Split(phase, ":")
		}
		got, err := image.PredictPCR11(phases...)
		if err != nil {
			t.Fatal(err)
		}
		if hex.EncodeToString(got[:]) != want {
			t.Errorf("phase %s: %x, systemd-measure says %s", phase, got, want)
		}
	}
}

// Where the tool is installed it is asked too, about content that is not golden.
func TestPredictionAgreesWithInstalledSystemdMeasure(t *testing.T) {
	const tool = "/usr/lib/systemd/systemd-measure"
	if _, err := os.Stat(tool); err != nil {
		t.Logf("%s is not installed; the golden values stand alone", tool)
		return
	}
	p := parts(t)
	p.Initrd = bytes.Repeat([]byte{1, 2, 3}, 123456)
	image := parse(t, build(t, p))
	key, err := image.PCRPublicKey()
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	args := []string{"calculate", "--bank=sha256", "--phase=enter-initrd"}
	for name, data := range map[string][]byte{
		"linux": p.Kernel, "osrel": p.OSRelease, "cmdline": []byte(p.Cmdline), "initrd": p.Initrd,
		"pcrpkey": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}),
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--"+name+"="+path)
	}
	out, err := exec.Command(tool, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want, err := image.PredictPCR11(uki.PhaseEnterInitrd)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(out, []byte("11:sha256="+hex.EncodeToString(want[:]))) {
		t.Errorf("predicted %x, %s says\n%s", want, tool, out)
	}
}

func TestSignature(t *testing.T) {
	image := parse(t, build(t, parts(t)))
	key, err := image.PCRPublicKey()
	if err != nil {
		t.Fatal(err)
	}
	signatures, err := image.PCRSignatures()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		phases []string
		valid  bool
	}{
		{"in the initramfs", []string{uki.PhaseEnterInitrd}, true},
		{"before it", nil, false},
		{"after the cap", []string{uki.PhaseEnterInitrd, uki.PhaseLeaveInitrd}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			pcr, err := image.PredictPCR11(c.phases...)
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := signatures.Find(key, pcr); ok != c.valid {
				t.Errorf("signature found: %v, want %v", ok, c.valid)
			}
		})
	}
	if len(signatures) != 1 || len(signatures["sha256"]) != 1 {
		t.Errorf("the image signs more than one state: %v", signatures)
	}
	// A signature that was tampered with must not be found.
	pcr, _ := image.PredictPCR11(uki.PhaseEnterInitrd)
	signatures["sha256"][0].Signature[0] ^= 1
	if _, ok := signatures.Find(key, pcr); ok {
		t.Error("a broken signature was accepted")
	}
}

// The golden digest is what tpm2_createpolicy of tpm2-tools computes for
// sha256:11 with a register of 32 bytes 0xab, on swtpm.
func TestPolicyPCRAgreesWithTPM(t *testing.T) {
	var pcr uki.PCR
	for i := range pcr {
		pcr[i] = 0xab
	}
	const want = "523d74b27852b0f697aebfb8274749478304b5745146d8449ea0733e729c4b6b"
	if got := uki.PolicyPCR(pcr); hex.EncodeToString(got[:]) != want {
		t.Errorf("policy %x, a TPM computes %s", got, want)
	}
}

// A section that is longer in memory than in the file is measured with the
// zeros that the loader adds; one that is shorter only as far as it reaches.
func TestPredictionFollowsVirtualSize(t *testing.T) {
	p := parts(t)
	p.PCRKey = nil
	p.Cmdline = "quiet"
	base := parse(t, build(t, p))
	grown := edit(t, build(t, p), ".cmdline", 8)
	p.Cmdline = "quiet\x01\x01\x01"
	padded := bytes.ReplaceAll(build(t, p), []byte("quiet\x01\x01\x01"), []byte("quiet\x00\x00\x00"))
	a, _ := base.PredictPCR11()
	b, _ := parse(t, grown).PredictPCR11()
	c, _ := parse(t, padded).PredictPCR11()
	if a == b {
		t.Error("a longer section is measured like a shorter one")
	}
	if b != c {
		t.Error("zeros of the loader are not measured like zeros of the file")
	}
}

// edit sets the virtual size of a section.
func edit(t *testing.T, raw []byte, name string, size byte) []byte {
	t.Helper()
	at := bytes.Index(raw[:0x600], []byte(name))
	if at < 0 {
		t.Fatalf("no section %s", name)
	}
	out := bytes.Clone(raw)
	out[at+8] = size
	return out
}

func TestPredictionRefusesChoices(t *testing.T) {
	p := parts(t)
	p.PCRKey = nil
	for name, stub := range map[string][]byte{
		"a profile":          petest.SystemdStub("257", petest.Section{Name: ".profile", Data: []byte("ID=x")}),
		"an old stub":        petest.SystemdStub("252.39-1~deb12u2"),
		"no version":         petest.SystemdStub("of the future"),
		"not systemd's stub": petest.Stub(),
	} {
		t.Run(name, func(t *testing.T) {
			p.Stub = stub
			if _, err := parse(t, build(t, p)).PredictPCR11(); !errors.Is(err, uki.ErrUnpredictable) {
				t.Fatalf("error %v, want ErrUnpredictable", err)
			}
		})
	}
	for _, version := range []string{"257", "257~rc1", "258.1-1"} {
		p.Stub = petest.SystemdStub(version)
		if _, err := parse(t, build(t, p)).PredictPCR11(); err != nil {
			t.Errorf("stub %s: %v", version, err)
		}
	}
}

func TestBuildRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(p *uki.Parts)
		error  string
	}{
		{"no command line", func(p *uki.Parts) { p.Cmdline = "" }, "command line is empty"},
		{"two lines of command line", func(p *uki.Parts) { p.Cmdline = "a\nb" }, "line break"},
		{"no kernel", func(p *uki.Parts) { p.Kernel = nil }, "kernel is empty"},
		{"a stub that is no PE file", func(p *uki.Parts) { p.Stub = []byte("#!/bin/sh") }, "reading the boot stub"},
		{"a stub that is a UKI", func(p *uki.Parts) { p.Stub = build(t, parts(t)) }, "occurs more than once"},
		{"a key of 4096 bits", func(p *uki.Parts) { p.PCRKey = bigKey(t) }, "2048 bits"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := parts(t)
			c.change(&p)
			if _, err := uki.Build(p); err == nil || !strings.Contains(err.Error(), c.error) {
				t.Fatalf("error %v, want one with %q", err, c.error)
			}
		})
	}
}

func bigKey(t *testing.T) *rsa.PrivateKey {
	key := *testKey(t)
	key.N = new(big.Int).Lsh(key.N, 2048)
	return &key
}

func TestParseRefuses(t *testing.T) {
	if _, err := uki.Parse(petest.Stub()); !errors.Is(err, uki.ErrNotUKI) {
		t.Errorf("a bare stub: error %v, want ErrNotUKI", err)
	}
	if _, err := uki.Parse([]byte("text")); !errors.Is(err, pe.ErrFormat) {
		t.Errorf("text: error %v, want ErrFormat", err)
	}
	twice := petest.Stub(petest.Section{Name: ".linux", Data: []byte("a")}, petest.Section{Name: ".linux", Data: []byte("b")})
	if _, err := uki.Parse(twice); !errors.Is(err, pe.ErrFormat) {
		t.Errorf("two kernels: error %v, want ErrFormat", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(build(f, parts(f)))
	f.Add(petest.SystemdStub("257", petest.Section{Name: ".linux", Data: []byte("kernel")}, petest.Section{Name: ".pcrsig", Data: []byte(`{"sha256":[{}]}`)}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		image, err := uki.Parse(raw)
		if err != nil {
			return
		}
		_ = image.Cmdline() + image.OSRelease() + image.Uname()
		pcr, err := image.PredictPCR11(uki.PhaseEnterInitrd)
		if err != nil {
			return
		}
		key, err := image.PCRPublicKey()
		if err != nil || key == nil {
			return
		}
		if signatures, err := image.PCRSignatures(); err == nil {
			signatures.Find(key, pcr)
		}
	})
}
