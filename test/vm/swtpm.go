package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// TPM is a software TPM 2.0. Its state (seeds, NV indices, lockout counter) lies in Dir
// and outlives each power-on, as a chip's does; PCRs start anew. Another Dir is another
// chip; the same Dir on another Machine is a chip that was moved.
type TPM struct {
	Dir string // absolute state directory; by itself "tpm" in the machine's Dir
	TIS bool   // a FIFO interface (tpm-tis), as discrete chips have; by itself CRB

	// Held lets the chip keep its power when the box is off, until Close: see Box.HoldTPM.
	Held bool

	// Manufacturer is a directory with a certificate authority, made when missing.
	// With it, a new TPM gets an endorsement key certificate and a platform
	// certificate from it (swtpm_setup), in the NV indices of the TCG EK Credential
	// Profile. Several TPMs may share it.
	Manufacturer string
}

func (t TPM) model() string {
	if t.TIS {
		return "tpm-tis"
	}
	return "tpm-crb"
}

// manufacture makes the state of a new TPM, with its SHA-256 bank only: that is what
// current chips ship, and each further bank costs an emulated guest boot time. A TPM
// that has state already is left alone.
func (t TPM) manufacture(ctx context.Context) error {
	state := filepath.Join(t.Dir, "tpm2-00.permall")
	if _, err := os.Stat(state); err == nil {
		return nil
	}
	if err := os.MkdirAll(t.Dir, 0o700); err != nil {
		return fmt.Errorf("making a TPM: %w", err)
	}
	args := []string{"--tpm2", "--tpmstate", t.Dir, "--pcr-banks", "sha256", "--overwrite"}
	if t.Manufacturer != "" {
		config, err := writeAuthority(t.Manufacturer)
		if err != nil {
			return fmt.Errorf("making a TPM: %w", err)
		}
		args = append(args, "--create-ek-cert", "--create-platform-cert", "--lock-nvram", "--config", config)
	}
	out, err := exec.CommandContext(ctx, "swtpm_setup", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("making a TPM with swtpm_setup: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// writeAuthority writes the configuration of a certificate authority that lies in dir
// and nowhere else (swtpm_setup.conf(5), swtpm-localca.conf(5)): the default one would be
// shared by everything on this machine.
func writeAuthority(dir string) (config string, err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	tool, err := exec.LookPath("swtpm_localca")
	if err != nil {
		return "", err
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	files := map[string]string{
		"swtpm_setup.conf": fmt.Sprintf("create_certs_tool = %s\ncreate_certs_tool_config = %s\ncreate_certs_tool_options = %s\n",
			tool, in("localca.conf"), in("localca.options")),
		"localca.conf": fmt.Sprintf("statedir = %s\nsigningkey = %s\nissuercert = %s\ncertserial = %s\n",
			dir, in("signkey.pem"), in("issuercert.pem"), in("certserial")),
		"localca.options": "--platform-manufacturer stek\n--platform-version 1\n--platform-model virtual-box\n",
	}
	for name, text := range files {
		if err := os.WriteFile(in(name), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	return in("swtpm_setup.conf"), nil
}

// start runs swtpm for one power-on; it listens on the socket when start returns. QEMU
// talks to it over the control channel, and its going ends it, unless it is held.
func (t TPM) start(ctx context.Context, socket, logs string, outlive bool) (*process, error) {
	if err := t.manufacture(ctx); err != nil {
		return nil, err
	}
	args := []string{"socket", "--tpm2", "--tpmstate", "dir=" + t.Dir, "--ctrl", "type=unixio,path=" + socket}
	if !t.Held {
		args = append(args, "--terminate")
	}
	p, err := startProcess(logs, outlive, "swtpm", args...)
	if err != nil {
		return nil, err
	}
	if err := waitSocket(ctx, socket, p); err != nil {
		return nil, errors.Join(err, p.kill())
	}
	return p, nil
}
