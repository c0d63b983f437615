package vm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// HoldTPM takes the power away from everything but the TPM, whose PCRs then are what the
// machine has measured up to now, and gives the path of a socket for
// tpm.Open("swtpm:" + path). It is what somebody gets who has all rights in the system
// that ran, or who keeps the reset line of the chip away from the board. The machine
// must have been started with TPM.Held; Close takes the chip's power too.
func (b *Box) HoldTPM() (path string, err error) {
	if b.swtpm == nil || !b.Machine.TPM.Held {
		return "", errors.New("holding the TPM: the machine was started without TPM.Held")
	}
	if err := b.PowerCut(); err != nil {
		return "", err
	}
	chip, err := dialData(b.wiring.tpm)
	if err != nil {
		return "", fmt.Errorf("holding the TPM: %w", err)
	}
	path = filepath.Join(b.run, "held")
	l, err := net.Listen("unix", path)
	if err != nil {
		return "", errors.Join(fmt.Errorf("holding the TPM: %w", err), chip.Close())
	}
	b.held = append(b.held, l, chip)
	go serveHeld(l, chip)
	return path, nil
}

// cmdSetDataFD hands swtpm a socket for TPM commands (swtpm_ioctls(3), CMD_SET_DATAFD).
const cmdSetDataFD = 0x10

// dialData asks for a data channel over the control channel, as QEMU does.
func dialData(control string) (net.Conn, error) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	ours := os.NewFile(uintptr(pair[0]), "data channel")
	defer ours.Close()
	defer syscall.Close(pair[1])
	c, err := net.Dial("unix", control)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	words := binary.BigEndian.AppendUint32(nil, cmdSetDataFD)
	if _, _, err := c.(*net.UnixConn).WriteMsgUnix(words, syscall.UnixRights(pair[1]), nil); err != nil {
		return nil, err
	}
	answer := make([]byte, 4)
	if _, err := io.ReadFull(c, answer); err != nil {
		return nil, err
	}
	if code := binary.BigEndian.Uint32(answer); code != 0 {
		return nil, fmt.Errorf("swtpm gives no data channel: error %d", code)
	}
	return net.FileConn(ours)
}

// serveHeld takes one command from each connection, and gives its answer.
func serveHeld(l net.Listener, chip net.Conn) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		if passMessage(chip, c) == nil {
			_ = passMessage(c, chip) // who asked sees that nothing comes
		}
		c.Close()
	}
}

// passMessage carries a command or an answer: a tag of two bytes and the size of the
// whole in four begin both (TPM 2.0 part 1, section 16).
func passMessage(to io.Writer, from io.Reader) error {
	message := make([]byte, 6, 4096)
	if _, err := io.ReadFull(from, message); err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(message[2:])
	if size < 10 || size > uint32(cap(message)) {
		return fmt.Errorf("a message of %d bytes", size)
	}
	message = message[:size]
	if _, err := io.ReadFull(from, message[6:]); err != nil {
		return err
	}
	_, err := to.Write(message)
	return err
}
