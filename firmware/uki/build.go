package uki

import (
	"crypto"
	"errors"
	"fmt"
	"strings"

	"github.com/stek-edge/stek/firmware/pe"
)

// Parts is what an image is made of. Stub, Kernel, Initrd and Cmdline are
// required.
type Parts struct {
	Stub      []byte // systemd's linux<arch>.efi.stub, unsigned
	Kernel    []byte // a kernel with an EFI entry point
	Initrd    []byte
	Microcode []byte // early CPU microcode, an uncompressed cpio archive; optional
	OSRelease []byte // os-release(5); systemd-boot takes title and version from it
	Cmdline   string // kernel command line, without a trailing newline
	Uname     string // kernel version, as uname -r prints it; optional
	// PCRKey signs the predicted PCR 11 for [PhaseEnterInitrd]. It must hold an
	// RSA key of 2048 bits, the size every TPM can verify. Without it the image
	// carries neither .pcrpkey nor .pcrsig and a signed policy is impossible.
	PCRKey crypto.Signer
}

// Build puts the parts together. Equal parts give equal bytes.
//
// The sections are appended in the order in which they are measured, so that a
// reader of a section listing sees what the TPM sees; .pcrsig comes last.
func Build(parts Parts) ([]byte, error) {
	if err := parts.check(); err != nil {
		return nil, fmt.Errorf("building a unified kernel image: %w", err)
	}
	stub, err := pe.Parse(parts.Stub)
	if err != nil {
		return nil, fmt.Errorf("reading the boot stub: %w", err)
	}
	sections := []pe.NewSection{
		{Name: sectionLinux, Data: parts.Kernel, Code: true},
		{Name: sectionOSRel, Data: parts.OSRelease},
		{Name: sectionCmdline, Data: []byte(parts.Cmdline)},
		{Name: sectionInitrd, Data: parts.Initrd},
		{Name: sectionUcode, Data: parts.Microcode},
		{Name: sectionUname, Data: []byte(parts.Uname)},
	}
	if parts.PCRKey != nil {
		public, err := publicKeyPEM(parts.PCRKey.Public())
		if err != nil {
			return nil, err
		}
		sections = append(sections, pe.NewSection{Name: sectionPCRPKey, Data: public})
	}
	sections = withoutEmpty(sections)
	unsigned, err := stub.Append(sections)
	if err != nil {
		return nil, err
	}
	if parts.PCRKey == nil {
		return unsigned, nil
	}
	image, err := Parse(unsigned)
	if err != nil {
		return nil, err
	}
	signature, err := image.signPCR11(parts.PCRKey)
	if err != nil {
		return nil, err
	}
	return stub.Append(append(sections, pe.NewSection{Name: sectionPCRSig, Data: signature}))
}

func (p Parts) check() error {
	var faults []error
	for _, part := range []struct {
		name  string
		empty bool
	}{
		{"boot stub", len(p.Stub) == 0},
		{"kernel", len(p.Kernel) == 0},
		{"initramfs", len(p.Initrd) == 0},
		// Without a section of its own the stub takes the command line from
		// whoever starts it, which would bypass the root hash.
		{"kernel command line", p.Cmdline == ""},
	} {
		if part.empty {
			faults = append(faults, fmt.Errorf("the %s is empty", part.name))
		}
	}
	if strings.ContainsAny(p.Cmdline, "\x00\n\r") {
		faults = append(faults, errors.New("the kernel command line has a line break or NUL in it"))
	}
	if strings.ContainsAny(p.Uname, "\x00\n\r ") {
		faults = append(faults, fmt.Errorf("%q is no kernel version", p.Uname))
	}
	return errors.Join(faults...)
}

func withoutEmpty(sections []pe.NewSection) []pe.NewSection {
	var kept []pe.NewSection
	for _, s := range sections {
		if len(s.Data) > 0 {
			kept = append(kept, s)
		}
	}
	return kept
}
