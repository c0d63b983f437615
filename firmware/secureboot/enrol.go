package secureboot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// EFIVars is where Linux shows the firmware's variables.
const EFIVars = "/sys/firmware/efi/efivars"

// ErrNotUEFI says that the machine was not started by UEFI, or that its
// variables are not mounted.
var ErrNotUEFI = errors.New("this machine was not started by UEFI firmware")

// ErrNotSetupMode says that the firmware still belongs to somebody: keys can be
// enrolled only after a person cleared them in the firmware's menu.
var ErrNotSetupMode = errors.New("the firmware is not in Setup Mode; open its setup, clear (\"reset to Setup Mode\") the Secure Boot keys, and start again")

// State is what the firmware says about Secure Boot.
type State struct {
	SecureBoot bool // enforced for this boot
	SetupMode  bool // no platform key: keys may be enrolled
}

// ReadState reads the state from a directory like [EFIVars]. Firmware without
// Secure Boot has no such variables and gives the zero State. The error is
// [ErrNotUEFI] if the directory is missing or empty.
func ReadState(efivars string) (State, error) {
	entries, err := os.ReadDir(efivars)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return State{}, ErrNotUEFI
	}
	if err != nil {
		return State{}, fmt.Errorf("reading firmware variables: %w", err)
	}
	var state State
	for name, to := range map[string]*bool{"SecureBoot": &state.SecureBoot, "SetupMode": &state.SetupMode} {
		data, err := os.ReadFile(variablePath(efivars, variable{name, guidGlobal}))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		// efivarfs puts four bytes of attributes in front of the value.
		if err != nil {
			return State{}, fmt.Errorf("reading the firmware variable %s: %w", name, err)
		}
		if len(data) != 5 {
			return State{}, fmt.Errorf("the firmware variable %s has %d bytes, not 5", name, len(data))
		}
		*to = data[4] == 1
	}
	return state, nil
}

func variablePath(efivars string, v variable) string {
	return filepath.Join(efivars, v.name+"-"+v.guid.String())
}

// Enrol writes the keys into the firmware's variables, in a directory like
// [EFIVars], which must be writable. They count from the next start on, and
// change PCR 7 then: nothing may be sealed before that. It fails with
// [ErrNotSetupMode] before it changes anything.
func Enrol(efivars string, v Variables) error {
	state, err := ReadState(efivars)
	if err != nil {
		return err
	}
	if !state.SetupMode {
		return ErrNotSetupMode
	}
	for _, kv := range keyVariables {
		data := v.content(kv.name)
		if err := checkAuthenticated(data); err != nil {
			return fmt.Errorf("enrolling %s: %w", kv.name, err)
		}
	}
	for _, kv := range keyVariables {
		if err := writeVariable(variablePath(efivars, kv), v.content(kv.name)); err != nil {
			return fmt.Errorf("enrolling %s: %w", kv.name, err)
		}
	}
	return nil
}

// writeVariable writes attributes and value in one call, as efivarfs asks. An
// existing variable is marked immutable by the kernel against accidents.
func writeVariable(path string, value []byte) error {
	if err := clearImmutable(path); err != nil {
		return fmt.Errorf("making the variable writable: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	data := append(binary.LittleEndian.AppendUint32(nil, keyVariableAttributes), value...)
	_, err = f.Write(data)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
