package fat

import "golang.org/x/sys/unix"

// exclusive has opening a device fail that is mounted (open(2), O_EXCL).
const exclusive = unix.O_EXCL
