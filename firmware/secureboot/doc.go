// Package secureboot makes the keys a fleet signs its boot chain with, signs
// and verifies UEFI programs, and enrols the keys in a machine's firmware.
//
// A machine in Setup Mode takes three variables: db with the certificates that
// may sign what boots, KEK with those that may change db, PK with the owner.
// [Keys.Variables] makes them as authenticated variables. The installer writes them
// ([Enrol]); systemd-boot can as well, but does not by itself (loader.conf says
// manual). Microsoft's certificates are
// kept beside the own ones unless refused, because graphics cards and network
// cards carry option ROMs that are signed with them; a machine that cannot
// verify its graphics card may not show a picture again. They do not weaken
// the disk: the TPM policy includes PCR 7, which records whose certificate
// verified each program.
//
// [PredictPCR7] tells what PCR 7 will be at the next start, from the event log of this
// one and the variables as they are now: after a change of dbx, a key can be bound to
// it before the restart.
//
// Signing is deterministic: equal key and input give equal bytes. That is why
// the PKCS#7 structure is made here. The Go libraries for it put the current
// time into every signature, or pull in desktop keyrings, or stop the process
// on malformed input.
//
// The package must never print or return a private key in text or errors, and
// never enrol on a machine that is not in Setup Mode: the firmware would
// refuse, and half the variables might be written.
//
//	keys, created, err := secureboot.LoadOrCreate("keys", time.Now())
//	signed, err := secureboot.SignPE(image, keys.DB)
//	variables, err := keys.Variables(secureboot.VariableOptions{Time: epoch})
package secureboot
