// Package fetch gets one small file from a server, over a bad line.
//
//	got, err := fetch.Get(ctx, fetch.Request{URL: "https://answers.example.org/site.yaml", Limit: 1 << 20, SHA256: digest, Roots: roots})
//
// A connection that is cut, or says nothing for a while, is begun again where it ended,
// until ctx ends. What a further try would not change ends it at once, and a certificate
// that is not right ends it at the third try. What comes is all of the file or an error: an empty file, one that is
// larger than it may be, and one with another digest are errors that say so.
//
// Time. A machine without a battery may believe that the server's certificate is not
// valid yet. A certificate is therefore judged at the latest of the machine's own time
// and the beginning of each certificate in its chain; Result tells that beginning, for
// whoever sets the clock (package clock). One that has expired is never taken.
//
// Nothing is written to a disk, and no signature is checked: both are for whoever asks
// (package onbox).
//
// The package must never ask for anything without encryption, never believe a server
// without checking its certificate, also where the digest is known, and never follow a
// server to another host.
package fetch
