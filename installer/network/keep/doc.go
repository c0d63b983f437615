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
//	k := keep.Keeper{Dir: "/state/stek/network", Root: "/", Reload: reload, Test: test}
//	result, err := k.Try(ctx, keep.Config{Files: files}, 2*time.Minute)
package keep
