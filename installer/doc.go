// Package installer turns answers and a machine into an installed, encrypted node.
//
//	answers ─┐
//	         ├─> Plan (pure: no I/O) ──> steps ──> events
//	inventory┘
//
// A Plan is made from answers, an inventory and what is known of the image, and
// touches nothing: the review screen, --dry-run and the steps that are carried out
// are the same value. Steps are idempotent and journaled on the stick, so that a
// machine that lost its power half-way is taken up again or begun anew, and never
// boots half a system: what makes the disk bootable is written last.
//
// It must never write to a disk that the plan does not name by its serial number,
// never erase without the consent that the answers give, never install without an
// unlock method that the answers ask for, and never put a secret into an event, the
// journal or a report.
//
//	plan, err := installer.Make(answers, inventory, image, ids)
//	err = installer.Run(ctx, plan, site, func(e installer.Event) { fmt.Println(e.Message) })
package installer
