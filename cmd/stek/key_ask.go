package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/stek-edge/stek/installer/node"
	"github.com/stek-edge/stek/installer/vault"
)

// change runs one change with a key that opens the volume and says which slot came.
func (f *keyFlags) change(ctx context.Context, do func(m *vault.Manager, auth []byte) (*vault.Slot, error)) error {
	auth, err := f.auth(ctx)
	if err != nil {
		return err
	}
	defer clear(auth)
	slot, err := do(&vault.Manager{Device: f.device}, auth)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "slot %d is added\n", slot.ID)
	return f.changed(ctx)
}

// find finds the node's own volume where none is named.
func (f *keyFlags) find(needed bool) error {
	facts, err := node.Look()
	switch {
	case err == nil && (f.device == "" || f.device == facts.Unlocked.Device):
		f.node, f.device = facts, facts.Unlocked.Device
	case err != nil && !errors.Is(err, node.ErrNotANode):
		return err
	}
	if f.device == "" && needed {
		return usageError{errors.New("name the volume with --device DEVICE")}
	}
	return nil
}

// changed looks after what depends on the key slots of the node's own volume.
func (f *keyFlags) changed(ctx context.Context) error {
	if f.node == nil {
		return nil
	}
	return f.node.AfterKeyChange(ctx)
}

// auth is a key that opens the volume: the one that was named, the node's own, or what
// is typed.
func (f *keyFlags) auth(context.Context) ([]byte, error) {
	paths := []string{f.keyFile}
	if f.node != nil {
		paths = append(paths, node.MaintenanceKey)
	}
	for _, path := range paths {
		if path == "" {
			continue
		}
		b, err := os.ReadFile(path)
		if err == nil {
			return asKey(b), nil
		}
		if path == f.keyFile || !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("reading the key file: %w", err)
		}
	}
	typed, err := ask("A key that opens the volume (recovery key or passphrase): ")
	if err != nil {
		return nil, err
	}
	return asKey(typed), nil
}

// asKey takes a recovery key in any spelling for what opens its slot.
func asKey(b []byte) []byte {
	if key, err := vault.ParseRecoveryKey(string(b)); err == nil {
		return []byte(key.Reveal())
	}
	return b
}

// ask reads one line without showing it; from a pipe it is read as it is.
func ask(question string) ([]byte, error) {
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		var line strings.Builder
		b := make([]byte, 1)
		for {
			n, err := os.Stdin.Read(b)
			if n == 0 || err != nil || b[0] == '\n' {
				break
			}
			line.WriteByte(b[0])
		}
		if line.Len() == 0 {
			return nil, errors.New("nothing was typed")
		}
		return []byte(line.String()), nil
	}
	fmt.Fprint(os.Stderr, question)
	typed, err := term.ReadPassword(int(os.Stdin.Fd()))
	fmt.Fprintln(os.Stderr)
	return typed, err
}

// terminal is the person at the terminal that the command was started from.
type terminal struct{}

func (terminal) Say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

func (terminal) Ask(_ context.Context, question string) ([]byte, error) { return ask(question + " ") }
