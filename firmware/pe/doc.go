// Package pe reads and extends the PE files that UEFI firmware starts.
//
// A unified kernel image is systemd's stub with more sections appended, and a
// signed one is that file with a certificate table behind it. Both need the
// same few facts about a PE file: where its headers are, which byte ranges a
// signature covers and how sections are laid out in the file and in memory.
//
// Files come from USB sticks and from foreign disks, so nothing in a header is
// believed before it was checked against the size of the file. debug/pe is
// documented as not hardened against such input; only its header types are
// used here.
//
// This package never decides whether a file may be trusted and holds no keys.
//
//	file, err := pe.Parse(stub)
//	if err != nil { … }
//	image, err := file.Append([]pe.NewSection{{Name: ".cmdline", Data: cmdline}})
package pe
