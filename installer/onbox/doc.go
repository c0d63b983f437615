// Package onbox is the installer at work on a real machine, started from a stick:
// it finds the stick and its answer file, puts the engine to work, keeps the report
// on the stick up to date, and ends as the answers say.
//
// The stick remembers each machine that it has installed, in the file "installed" of
// its report. Started on such a machine again, it has the firmware start the disk,
// once; a firmware that comes back to the stick needs a person. That holds also where the
// answers say disk.reinstall: they replace what others have installed, not their own work.
//
// It must never decide anything that a plan decides, never install a second time
// from a stick that was left in, and never restart a machine on which something went
// wrong: the message on the screen is all that the person there has.
//
//	err := onbox.Unattended(ctx)
package onbox
