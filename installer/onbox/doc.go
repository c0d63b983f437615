// Package onbox is the installer at work on a real machine, started from a stick:
// it finds the stick and its answer file, puts the engine to work, keeps the report
// on the stick up to date, and ends as the answers say.
//
// Answers come from stek/preseed.yaml, or from the server that stek/preseed.url names; where
// there is neither, or the answers say ask, a person is asked by package tui on the console
// where Enter was pressed. To fetch them, package network's files are put in place by package
// keep's Keeper.Write, and package fetch gets them: with the digest or the signature that the
// stick or the image names, or not at all. Then that network is taken away again. It and the
// fetched file are in memory only: the node's network is the one in the answers, which are
// kept without their secrets, in the report and on the node.
//
// The stick remembers each machine that it has installed, in the file "installed" of
// its report. Started again on such a machine, with the disk as it was installed, it has
// the firmware start the disk, once; a firmware that comes back to the stick needs a person.
// That holds for the same answers, also where they say disk.reinstall: they replace what
// others have installed, not their own work. It holds as well where there are no answers,
// where a person would have to give a part of them, where the server that has them is out of
// reach, and for other answers that do not say disk.reinstall. Other answers that do install
// the machine anew.
//
// It must never decide anything that a plan decides, never install a second time
// from a stick that was left in, and never restart a machine on which something went
// wrong: the message on the screen is all that the person there has.
//
//	err := onbox.Unattended(ctx)
package onbox
