// Package keep replaces a network configuration only by one that works.
//
//	          apply                 test                  confirm
//	kept ────────────────> tried ────────────> good ────────────────> kept (new)
//	  ^                      │ worse             │ time is over
//	  └──────────────────────┴───────────────────┴── restart, in any state
//
// The configuration that last worked stays on the disk. A new one is written beside
// it, put in place and tested; it is kept when it is no worse than the old one, and
// when somebody has confirmed it in time, where that was asked for. In every other
// case the old one returns by itself: after a failed test, after the time is over,
// after the program was killed, and at the next start of a box that lost its power
// in between, before any card is switched on.
//
// A fault of the far side (a server that refuses, an expired certificate) is no
// reason to return, and neither is what was broken before: see Worse.
//
// State and its changes are pure (State.Next); Keeper carries them out, with the
// files, the network programs and the test handed in. The journal is on the disk
// before anything changes. It holds keys and passwords, so only root reads it.
//
// What the installer lays on the node is the first kept configuration (Keeper.Adopt). The
// network of the running installer is put in place and taken away with Keeper.Write and
// Systemd alone: nothing of it is kept.
//
// The package must never keep a configuration that is worse than the one before, and never
// write a file outside of /etc and its own folder.
//
//	k := keep.Keeper{Dir: "/state/stek/network", Root: "/", Reload: reload, Test: test}
//	result, err := k.Try(ctx, keep.Config{Files: files}, 2*time.Minute)
package keep
