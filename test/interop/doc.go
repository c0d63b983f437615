// Package interop sets the project beside the stock tools: a volume made by one is opened
// by the other, with the TPM, a PIN, a signed policy or the recovery key.
//
// The tests of `make test` use the cryptsetup and systemd of this machine, which may be
// as old as systemd 252. Those named TestFull use a Debian 13 with systemd 257, the
// release that the product's image is made of: in a change root where no kernel is
// needed, and in a virtual box where dm-crypt is.
//
//	go test -tags e2e -timeout 60m -run TestFull ./test/interop
//
// The tests must never hand a volume to a tool in another form than the one that a
// person would find on a disk.
package interop
