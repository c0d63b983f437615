// Package lock keeps images/components.lock: every package and component that went
// into an image, with its version and digest.
//
// The file is JSON with one component per line, sorted, so that a change of one
// package is a change of one line. It holds the components of all architectures; a
// build replaces those of its own.
//
// Mirrors drop superseded versions, so a lock cannot be obeyed for ever. A build that
// is given a lock, as `make image` is, therefore makes it anew and shows the Difference;
// one that must not move asks for Require, which fails with every difference listed. A
// build without a lock, as those of tests are, compares nothing.
//
// The package never fetches anything and never decides which version is right.
//
//	old, err := lock.Read("images/components.lock")
//	now := old.Replace("amd64", components)
//	diff := lock.Compare(old, now)
//	fmt.Print(diff)
//	err = now.Write("images/components.lock")
package lock
