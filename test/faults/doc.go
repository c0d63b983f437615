// Package faults holds the tests of what can be wrong with a machine: every refusal
// of the installer, on real block devices, with the proof that none of them changed a
// byte on any disk.
package faults
