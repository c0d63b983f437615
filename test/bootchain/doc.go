// Package bootchain boots what packages uki, secureboot, esp and layout make, on a
// virtual box with real UEFI firmware and a TPM, and compares what the firmware
// measures and refuses with what they promise. It has tests only:
//
//	go test -tags e2e -timeout 60m ./test/bootchain
//
// It must never use the keys of a fleet: its own are made anew each time.
package bootchain
