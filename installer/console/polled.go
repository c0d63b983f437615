package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// between is how long a read waits before it looks whether it is still wanted, milliseconds.
const between = 200

// Polled reads what is typed on a file, such as a terminal, until ctx ends: a read that waits
// ends then as well, within 200 ms, and takes nothing that is typed later. At the end of what
// there is it gives io.EOF.
func Polled(ctx context.Context, f *os.File) io.Reader { return polled{ctx, f} }

type polled struct {
	ctx context.Context
	f   *os.File
}

// Read implements io.Reader.
func (p polled) Read(into []byte) (int, error) {
	fd := int(p.f.Fd())
	for {
		if err := p.ctx.Err(); err != nil {
			return 0, err
		}
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		ready, err := unix.Poll(fds, between)
		switch {
		case errors.Is(err, unix.EINTR), err == nil && ready == 0:
			continue
		case err != nil:
			return 0, fmt.Errorf("waiting for what is typed: %w", err)
		case fds[0].Revents&unix.POLLIN == 0:
			return 0, io.EOF // hung up, or no file any more (poll(2), POLLHUP and POLLNVAL)
		}
		n, err := unix.Read(fd, into)
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
			continue // somebody else has read it
		case err != nil:
			return 0, fmt.Errorf("reading what is typed: %w", err)
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
}
