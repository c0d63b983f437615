package installer

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/installer/disk"
)

// Medium is one of the two things that an installation reads and writes.
type Medium string

// The media.
const (
	TheStick Medium = "stick"
	TheDisk  Medium = "disk"
)

// MediumError says which medium did not do what it should. Steps wrap their errors
// in it where the error itself does not say.
type MediumError struct {
	Medium Medium
	Err    error
}

func (e *MediumError) Error() string { return e.Err.Error() }

// Unwrap returns the error of the medium.
func (e *MediumError) Unwrap() error { return e.Err }

// Remedy says what a person at the machine can do.
func (e *MediumError) Remedy() string {
	stick := e.Medium == TheStick
	switch {
	case errors.Is(e.Err, unix.ENOSPC) && stick:
		return "delete what is not needed from the stick, on any computer, and start again"
	case errors.Is(e.Err, unix.ENOSPC):
		return "the disk takes less than it says: replace it"
	case errors.Is(e.Err, unix.EROFS) && stick:
		return "switch the write protection of the stick off; if it has none, its file system is damaged: write the image to it again"
	case errors.Is(e.Err, unix.EROFS):
		return "switch the write protection of the disk off; if it has none, the disk is failing: replace it"
	case stick:
		return "put the stick in again and restart the machine; if it happens again, use another stick"
	}
	return "check how the disk is fitted and restart the machine with the stick in; if it happens again, the disk is failing: replace it"
}

// on says of an error on which medium it happened, unless the error knows better what
// to do, or nothing happened but that somebody stopped it.
func on(medium Medium, err error) error {
	if err == nil || RemedyOf(err) != "" || errors.Is(err, context.Canceled) {
		return err
	}
	return &MediumError{Medium: medium, Err: err}
}

// onlyOn is on for errors that know something better to do for a volume with data in it.
// In one that was made a moment ago a header that is damaged, or gone, means a disk that
// does not keep what is written, and nothing is lost yet.
func onlyOn(medium Medium, err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	return &MediumError{Medium: medium, Err: err}
}

// onIfIO is on for work that can also fail for what it was given: only what the system
// says of a file is the medium's.
func onIfIO(medium Medium, err error) error {
	var file *fs.PathError
	var link *os.LinkError
	if errors.As(err, &file) || errors.As(err, &link) {
		return on(medium, err)
	}
	return err
}

// onOneOf tells of an error of a copy from stick to disk on which of the two it was.
func onOneOf(err error) error {
	var io *disk.CopyError
	var differs *disk.DigestError
	switch {
	case errors.As(err, &io) && io.Op == disk.OpSource, errors.As(err, &differs) && differs.Source:
		return on(TheStick, err)
	}
	return on(TheDisk, err)
}
