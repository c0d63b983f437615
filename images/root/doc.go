// Package root builds the read-only root file system of a stek image from Debian
// packages: one squashfs with its dm-verity hash tree behind it.
//
// The way goes through values that can be looked at and cached one by one:
//
//	mirror    -> Resolve   -> which packages, at which versions and digests
//	Resolved  -> Bootstrap -> the base: all of it unpacked, one tar in the cache
//	Base      -> Assemble  -> pruned, normalised, with stek and k3s laid over it
//	Tree      -> Squash    -> root.squashfs
//	squashfs  -> Verity    -> root hash, salt, number of data blocks
//
// The same inputs give the same bytes, whatever the umask, time zone, working
// directory or number of jobs. Nothing is mounted by this package, no loop device
// is used and nothing outside the cache and temporary folders is written. (Run by
// root, mmdebstrap mounts /proc and friends in a mount namespace of its own.)
//
// Nothing that is private to a box may enter a root: it is public and the same on
// every box. So Assemble drops machine ids, host keys, host names and password
// backups, and refuses an overlay that would bring them back.
//
// What goes in and what stays out is data that a person reviews: packages.list,
// root.rules, modules.rules and firmware.rules beside this file.
//
//	mirror, err := root.HostMirror(os.DirFS("/"))
//	resolved, err := root.Resolve(ctx, root.Source{Arch: "amd64", Mirror: mirror,
//		Epoch: epoch, CacheDir: cache, Runner: root.Exec{}})
//	base, err := resolved.Bootstrap(ctx)
//	packages, closer, err := base.Open()
//	tree, report, err := root.Assemble(ctx, packages, root.Assembly{Epoch: epoch, Runner: root.Exec{},
//		Overlay: []root.Entry{root.HostFile("usr/bin/stek", 0o755, stek), root.Dir("state", 0o755)}})
//	err = root.Squash(ctx, tree, "root.squashfs", root.SquashOptions{Epoch: epoch, Runner: root.Exec{}})
//	verity, err := root.Verity(ctx, "root.squashfs", root.Exec{})
//	boot, err := root.ReadBootFiles(packages, "amd64")
package root
