//go:build e2e

package bootchain_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stek-edge/stek/test/testimage"
)

// The stub and the boot loader come from the Debian release that the product is made
// of, whichever release the tests run on.
const (
	suite      = "trixie"
	efiPackage = "systemd-boot-efi"
	efiDir     = "usr/lib/systemd/boot/efi"
)

// efiFile reads a file of systemd-boot-efi: from $STEK_TEST_KERNEL, if that is a root
// with the package in it, or else from the package, kept in the user's cache directory.
func efiFile(t *testing.T, name string) []byte {
	t.Helper()
	if root := os.Getenv(testimage.KernelEnv); root != "" {
		if data, err := os.ReadFile(filepath.Join(root, efiDir, name)); err == nil {
			return data
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	unpacked := filepath.Join(cache, "stek", "test-efi")
	path := filepath.Join(unpacked, efiDir, name)
	if _, err := os.Stat(path); err != nil {
		if err := fetchEFI(t.Context(), unpacked); err != nil {
			t.Fatalf("getting %s of Debian %s: %v", efiPackage, suite, err)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// fetchEFI downloads with an apt of its own lists and cache, so that the machine's are
// left alone and no rights are needed.
func fetchEFI(ctx context.Context, unpacked string) error {
	if err := os.MkdirAll(filepath.Dir(unpacked), 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(unpacked), "fetch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	site, err := mirror(ctx)
	if err != nil {
		return err
	}
	sources := filepath.Join(work, "sources.list")
	line := fmt.Sprintf("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n", site, suite)
	if err := os.WriteFile(sources, []byte(line), 0o644); err != nil {
		return err
	}
	for _, dir := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(work, dir), 0o755); err != nil {
			return err
		}
	}
	options := []string{
		"-q", "-o", "Dir::Etc::SourceList=" + sources, "-o", "Dir::Etc::SourceParts=-",
		"-o", "Dir::State::Lists=" + filepath.Join(work, "lists"), "-o", "Dir::Cache=" + filepath.Join(work, "cache"),
		"-o", "APT::Sandbox::User=",
	}
	for _, args := range [][]string{
		append([]string{"apt-get", "update"}, options...),
		append([]string{"apt-get", "download", efiPackage + ":amd64"}, options...),
		{"sh", "-c", "dpkg-deb -x " + efiPackage + "_*.deb root"},
	} {
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Dir = work
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(args[:2], " "), err, out)
		}
	}
	if err := os.RemoveAll(unpacked); err != nil {
		return err
	}
	return os.Rename(filepath.Join(work, "root"), unpacked)
}

// mirror is the first archive among the machine's own apt sources that is no security
// archive.
func mirror(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages").Output()
	if err != nil {
		return "", fmt.Errorf("asking apt for its mirrors: %w", err)
	}
	for uri := range strings.FieldsSeq(string(out)) {
		if !strings.Contains(uri, "security") {
			return uri, nil
		}
	}
	return "", fmt.Errorf("apt knows no Debian mirror; run apt-get update")
}
