// Package node is an installed box looking after itself: it binds its keys to the
// machine that it turned out to be, keeps a system that came up well, and tells
// people how it is. Network changes how it reaches others, and returns from a change.
//
// Settle runs at each start and acts on what stage1 noted of it: see NextSteps in
// package vault. Resealing is the person's way to do the same ahead of a restart: it
// predicts PCR 7 where the firmware's Secure Boot variables were changed.
//
// It must never remove a key slot before another one has opened the disk at a
// start, never call a system bad because of a network, and never print a secret.
//
//	facts, err := node.Look()
//	done, err := node.Settle(ctx, facts, "/dev/tpmrm0")
//	err = facts.Status(ctx, firmware).WriteText(os.Stdout)
package node
