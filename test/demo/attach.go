package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/term"

	"github.com/stek-edge/stek/test/site"
)

// leaveKey is Ctrl-], as in telnet(1).
const leaveKey = 0x1d

// attach makes this terminal the serial console of a box, until Ctrl-] or until the box is
// off. The box stays on.
func attach(box *site.Box) error {
	if err := box.Detach(); err != nil {
		return err
	}
	fmt.Printf("\nThis terminal is the box's serial console now; Ctrl-] leaves it, and the box stays on.\n")
	console, err := net.Dial("unix", box.ConsoleSocket())
	if err != nil {
		return fmt.Errorf("attaching to the console: %w", err)
	}
	defer console.Close()
	if fd := int(os.Stdin.Fd()); term.IsTerminal(fd) {
		before, err := term.MakeRaw(fd)
		if err != nil {
			return fmt.Errorf("attaching to the console: %w", err)
		}
		defer term.Restore(fd, before)
	}
	ended := make(chan error, 2)
	go func() {
		_, err := io.Copy(os.Stdout, console)
		ended <- err
	}()
	go func() { ended <- typeTo(console, os.Stdin) }()
	err = <-ended
	fmt.Printf("\r\nAttach again: socat -,raw,echo=0,escape=0x1d UNIX-CONNECT:%s\r\nThe next 'make demo' switches the box off.\r\n", box.ConsoleSocket())
	return err
}

// typeTo copies what is typed, up to the key that leaves.
func typeTo(console io.Writer, in io.Reader) error {
	buf := make([]byte, 256)
	for {
		n, err := in.Read(buf)
		typed, _, leave := bytes.Cut(buf[:n], []byte{leaveKey})
		if _, err := console.Write(typed); err != nil {
			return err
		}
		if leave || err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
