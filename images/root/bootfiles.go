package root

import (
	"fmt"
	"path"
)

// BootFiles are what the ESP needs out of a base.
type BootFiles struct {
	KernelVersion string
	Kernel        []byte // the kernel as Debian ships it, an EFI program
	SystemdBoot   []byte // systemd-boot, unsigned
	Stub          []byte // systemd-stub, which a UKI begins with
	OSRelease     []byte // os-release(5), for the .osrel section
}

// efiNames are systemd's short names of architectures in file names.
var efiNames = map[string]string{"amd64": "x64", "arm64": "aa64"}

// ReadBootFiles takes kernel, boot loader and stub from a base (Assemble drops them
// from the root).
func ReadBootFiles(base *Tree, arch string) (*BootFiles, error) {
	efi, ok := efiNames[arch]
	if !ok {
		return nil, fmt.Errorf("reading the boot files: architecture %q is not known", arch)
	}
	version, err := KernelVersion(base)
	if err != nil {
		return nil, fmt.Errorf("reading the boot files: %w", err)
	}
	b := &BootFiles{KernelVersion: version}
	for _, file := range []struct {
		to   *[]byte
		path string
	}{
		{&b.Kernel, "boot/vmlinuz-" + version},
		{&b.SystemdBoot, path.Join("usr/lib/systemd/boot/efi", "systemd-boot"+efi+".efi")},
		{&b.Stub, path.Join("usr/lib/systemd/boot/efi", "linux"+efi+".efi.stub")},
		{&b.OSRelease, "usr/lib/os-release"},
	} {
		if *file.to, err = readFile(base, file.path); err != nil {
			return nil, fmt.Errorf("reading the boot files: %w", err)
		}
	}
	return b, nil
}
