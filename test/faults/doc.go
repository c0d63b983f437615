// Package faults holds the tests of what can be wrong with a machine: every refusal
// of the installer, on real block devices, with the proof that none of them changed a
// byte on any disk.
//
// A machine here is a folder that looks like sysfs, with disks that are loop devices.
// What the kernel says of a loop device (its size, write protection, who holds it) is
// what the test machine says of its disk; only names, serial numbers and the firmware
// are made up. Loop devices need root.
package faults
