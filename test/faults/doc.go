// Package faults holds the tests of what can be wrong with a machine: every refusal
// of the installer, on real block devices, with the proof that none of them changed a
// byte on any disk. A new refusal is a line in the table of TestRefusals:
//
//	{name: "no disk", answers: answers, machine: func(*testing.T, *loopbox.Machine) {},
//		status: installer.StatusMissing, message: "no disk was found in this machine", remedy: "check that a disk is fitted"},
//
// What fails while a machine is installed is behind a tag: disks and sticks that turn bad
// below a whole installation, by device-mapper, in a guest (testdata/media). A new failure
// is a line in the tables of TestDisk and TestStick there.
//
//	go test -tags guest -count 1 -timeout 30m -v -run TestFull ./test/faults
//
// It must never be given a disk that is not a loop device. It needs root.
package faults
