// Package node is an installed box looking after itself: it binds its keys to the
// machine that it turned out to be, keeps a system that came up well, and tells
// people how it is.
//
// It must never remove a key slot before another one has opened the disk at a
// start, never call a system bad because of a network, and never print a secret.
//
//	facts, err := node.Look()
//	done, err := node.Settle(ctx, facts, "/dev/tpmrm0")
//	err = facts.Status(ctx, firmware).WriteText(os.Stdout)
package node
