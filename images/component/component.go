// Package component holds the two things that every part of the image builder
// hands to the next: the files that go into the root, and the components they
// came from, which images/components.lock records.
//
// It must never do anything: it holds types and no I/O.
//
//	part := component.Component{Name: "k3s", Version: "v1.25.4+k3s1", Source: component.Module}
//	fmt.Println(part.Label()) // v1.25.4+k3s1 (not for production)
package component

import (
	"io/fs"
	"time"
)

// Source tells how a component was come by.
type Source string

// The sources of components.
const (
	Module  Source = "module"  // built from Go modules
	Release Source = "release" // downloaded as its project released it
	Debian  Source = "debian"  // a package of the Debian archive
	Own     Source = "stek"    // built from this repository's own sources
)

// Component is one entry of the lock: what is in the image and where it is from.
type Component struct {
	Name       string `json:"name"`
	Version    string `json:"version"`
	SHA256     string `json:"sha256"` // of the file as it is put into the image, lower-case hex
	Source     Source `json:"source"`
	Origin     string `json:"origin,omitempty"` // module path, package or download address
	Production bool   `json:"production"`
}

// NotForProduction is added to the version of every component that is not.
const NotForProduction = "not for production"

// Label is the version as it is to be shown to a person. Every place that shows
// a version uses it, so that a development build never passes for another one.
func (c Component) Label() string {
	if c.Production {
		return c.Version
	}
	return c.Version + " (" + NotForProduction + ")"
}

// File is one entry to be added to the root file system. Owner and group are
// always 0, times are those of the image.
type File struct {
	Path string      // absolute, inside the root
	Mode fs.FileMode // permission bits; fs.ModeSymlink for a link
	Host string      // the file on the building machine, for a regular file
	Link string      // what a link points to
}

// Progress is one report about work that takes longer than a second.
type Progress struct {
	Task    string        // what is being done, as "building k3s"
	Unit    string        // what Done and Total count: "packages" or "bytes"
	Done    int64         // so far
	Total   int64         // upper bound, 0 when unknown
	Detail  string        // the thing at hand, may be empty
	Elapsed time.Duration // since the task was begun
}

// Report receives progress. A nil Report is allowed everywhere.
type Report func(Progress)

// Send hands p on, unless there is nobody to hand it to.
func (r Report) Send(p Progress) {
	if r != nil {
		r(p)
	}
}
