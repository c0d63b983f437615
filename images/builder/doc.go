// Package builder makes the image: it puts together what the packages beside it
// make, from Debian's packages to a disk image that a person writes to a stick.
//
// Everything is plain files; it needs neither loop devices nor mounts, and only
// mmdebstrap wants root or a user namespace. The same inputs (packages, programs,
// keys, version) give the same bytes, wherever and whenever it runs, and what did
// not change is taken from the cache.
//
// It must never put anything private into an image, never fall back from one
// source of k3s to another, and never leave a half-written image under the name
// that was asked for.
//
//	result, err := builder.Build(ctx, builder.Options{Arch: "amd64", K3s: component.Module, Output: "stek-amd64.img"})
package builder
