package tpm

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// charDevice is a descriptor of /dev/tpmrm0. It is used in blocking mode, without Go's
// poller: in non-blocking mode the kernel answers a read that comes too early with 0
// bytes, which looks like the end of a file (tpm_common_read in
// drivers/char/tpm/tpm-dev-common.c).
type charDevice int

func openCharDevice(path string) (charDevice, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return -1, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFCHR {
		return -1, fmt.Errorf("not a device file: %w", unix.ENODEV)
	}
	fd, err := retryEINTR(func() (int, error) { return unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0) })
	return charDevice(fd), err
}

// Send hands one command over; the write returns when the TPM is done, and one read
// gives the whole answer. An interrupted write is not repeated: the TPM may have done
// what it says.
func (fd charDevice) Send(cmd []byte) ([]byte, error) {
	n, err := unix.Write(int(fd), cmd)
	if err != nil {
		return nil, err
	}
	if n != len(cmd) {
		return nil, fmt.Errorf("the kernel took %d of %d bytes of a command", n, len(cmd))
	}
	rsp := make([]byte, maxResponse)
	n, err = retryEINTR(func() (int, error) { return unix.Read(int(fd), rsp) })
	if err != nil {
		return nil, err
	}
	return rsp[:n], nil
}

func (fd charDevice) Close() error { return unix.Close(int(fd)) }

func retryEINTR(f func() (int, error)) (int, error) {
	for {
		n, err := f()
		if err != unix.EINTR {
			return n, err
		}
	}
}

// isNoDevice tells whether an open failed because nothing is behind the name.
func isNoDevice(err error) bool {
	return errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ECONNREFUSED)
}
