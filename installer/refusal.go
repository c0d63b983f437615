package installer

import (
	"errors"
	"fmt"
	"strings"

	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/preseed"
)

// Status is the exit status of an installation.
type Status int

// What an installation can end with. The numbers are the program's exit status and
// part of its interface.
const (
	StatusDone    Status = 0
	StatusFailed  Status = 1   // a step failed; the report says which
	StatusInvalid Status = 2   // the answers or the command line are wrong
	StatusRefused Status = 3   // going on could have cost somebody their data
	StatusMissing Status = 4   // the machine lacks what the answers ask for
	StatusAborted Status = 130 // somebody stopped it
)

// Refusal is why a plan could not be made, or a step would not go on. Nothing on
// any disk has changed.
type Refusal struct {
	Status  Status
	Message string // what is in the way
	Remedy  string // what to do
	Cause   error
}

func (r *Refusal) Error() string {
	if r.Remedy == "" {
		return r.Message
	}
	return fmt.Sprintf("%s; %s", r.Message, r.Remedy)
}

func (r *Refusal) Unwrap() error { return r.Cause }

// StatusOf tells with which status a program that met this error should end.
func StatusOf(err error) Status {
	var r *Refusal
	var faults preseed.Faults
	var busy *disk.BusyError
	var wrong *disk.WrongDeviceError
	switch {
	case err == nil:
		return StatusDone
	case errors.As(err, &r):
		return r.Status
	case errors.As(err, &faults):
		return StatusInvalid
	case errors.As(err, &busy), errors.As(err, &wrong):
		return StatusRefused
	}
	return StatusFailed
}

// remedied is an error that knows what a person can do about it; the leaf packages
// have such errors of their own.
type remedied interface{ Remedy() string }

// RemedyOf finds the remedy in an error, or returns an empty string.
func RemedyOf(err error) string {
	var r *Refusal
	if errors.As(err, &r) {
		return r.Remedy
	}
	var own remedied
	if errors.As(err, &own) {
		return own.Remedy()
	}
	return ""
}

// messageOf is an error without its remedy, for those who show the remedy on a line
// of its own.
func messageOf(err error) string {
	text := err.Error()
	if remedy := RemedyOf(err); remedy != "" {
		text = strings.TrimSuffix(text, "; "+remedy)
	}
	return text
}
