package download

import "fmt"

// Kind tells what went wrong, for whoever decides on it.
type Kind string

// The kinds of errors.
const (
	NotFound    Kind = "not found"    // the server has no such file
	Refused     Kind = "refused"      // the server will not give it
	WrongDigest Kind = "wrong digest" // what came is not what was asked for
	NoSpace     Kind = "no space"     // the disk is full
	NoFile      Kind = "no file"      // the target cannot be written for another reason
	GaveUp      Kind = "gave up"      // the line broke too often
)

// Error is what Fetch.Do fails with, unless its context ended.
type Error struct {
	Kind   Kind
	URL    string
	Path   string
	Remedy string // what to do
	Err    error  // the cause
}

func (e *Error) Error() string {
	return fmt.Sprintf("downloading %s: %s: %v; %s", e.URL, e.Kind, e.Err, e.Remedy)
}

func (e *Error) Unwrap() error { return e.Err }

func (f *Fetch) fail(kind Kind, err error, remedy string) *Error {
	return &Error{Kind: kind, URL: f.URL, Path: f.Path, Remedy: remedy, Err: err}
}
