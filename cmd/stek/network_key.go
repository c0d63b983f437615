package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/stek-edge/stek/installer/console"
	"github.com/stek-edge/stek/installer/network"
)

// printTunnelKey prints the public key of this box's tunnel, and draws it for a camera
// where somebody looks.
func printTunnelKey(w io.Writer) error {
	key, err := os.ReadFile(network.TunnelPublicPath)
	if errors.Is(err, os.ErrNotExist) {
		return errors.New("this box has no tunnel; see network.vpn in the answer file")
	}
	if err != nil {
		return err
	}
	if _, err := w.Write(key); err != nil {
		return err
	}
	if f, ok := w.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	drawn, err := console.QR(strings.TrimSpace(string(key)))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, drawn)
	return err
}
