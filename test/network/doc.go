// Package network holds the tests of the network as a whole: rendered files in the
// hands of the real systemd-networkd, configurations that are tried, kept and given
// up, all of it in namespaces (package lan). They need root, and run with `make test`:
//
//	go test ./test/network
//
// They must never touch a card of the machine that they run on.
package network
