// Package network holds the tests of the network as a whole: rendered files in the
// hands of the real systemd-networkd, configurations that are tried, kept and given
// up, in namespaces (package lan). They need root, and run with `make test`; a tunnel
// between the kernels of two guests is behind a tag:
//
//	go test ./test/network
//	go test -tags guest -timeout 20m -run TestFull ./test/network
//
// They must never touch a card of the machine that they run on.
package network
