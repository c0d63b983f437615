package tpm

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"
)

// socketConn is the path of swtpm's data socket. Each command has its own connection:
// swtpm serves one at a time, and so another program, or another Device, can have its
// turn. (go-tpm's linuxudstpm connects the same way, but takes a first piece of an answer
// for the whole, and turns "busy for 2 s" into an empty answer without an error.)
type socketConn string

// socketTimeout bounds one command; an emulator that makes an RSA key on a busy machine
// needs some seconds.
const socketTimeout = 60 * time.Second

func (path socketConn) Send(cmd []byte) ([]byte, error) {
	c, err := net.Dial("unix", string(path))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(socketTimeout)); err != nil {
		return nil, err
	}
	if _, err := c.Write(cmd); err != nil {
		return nil, err
	}
	head := make([]byte, 10) // tag, size, response code
	if _, err := io.ReadFull(c, head); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[2:6])
	if size < 10 || size > maxResponse {
		return nil, fmt.Errorf("an answer says it has %d bytes", size)
	}
	rsp := make([]byte, size)
	copy(rsp, head)
	_, err = io.ReadFull(c, rsp[10:])
	return rsp, err
}

func (socketConn) Close() error { return nil }

// maxResponse is the largest answer that is read: the kernel's own limit
// (TPM_BUFSIZE in drivers/char/tpm/tpm.h).
const maxResponse = 4096
