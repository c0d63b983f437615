package vm

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// ovmf lists where distributions put OVMF; the first that exists is taken.
var ovmf = map[Firmware][]string{
	UEFI:           {"/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_CODE.fd"},
	UEFISecureBoot: {"/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "/usr/share/OVMF/OVMF_CODE.secboot.fd"},
}

// firmwareFiles finds OVMF, and makes the machine's variables at the first power-on.
func (m Machine) firmwareFiles() (code, vars string, err error) {
	if m.Firmware == BIOS {
		return "", "", nil
	}
	for _, path := range ovmf[m.Firmware] {
		if _, err := os.Stat(path); err == nil {
			code = path
			break
		}
	}
	if code == "" {
		return "", "", fmt.Errorf("OVMF is not here (install the package ovmf): looked for %s", strings.Join(ovmf[m.Firmware], ", "))
	}
	vars = filepath.Join(m.Dir, "vars.fd")
	if _, err := os.Stat(vars); err == nil {
		return code, vars, nil
	}
	from := m.VarsFrom
	if from == "" {
		from = strings.NewReplacer("CODE", "VARS", ".secboot", "").Replace(code)
		if m.Firmware == UEFISecureBoot && m.Keys == MicrosoftKeys {
			from = strings.TrimSuffix(from, ".fd") + ".ms.fd"
		}
	}
	if err := copyFile(from, vars); err != nil {
		return "", "", fmt.Errorf("making the firmware's variables: %w", err)
	}
	return code, vars, nil
}

// copyFile copies through a second name, so that a cut copy is not taken for variables.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.CreateTemp(filepath.Dir(to), ".copy-")
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	err = errors.Join(err, out.Close())
	if err == nil {
		err = os.Rename(out.Name(), to)
	}
	if err != nil {
		os.Remove(out.Name())
	}
	return err
}
