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
//
// # From power-on to Ready
//
// The same image starts on the stick and, copied, on the disk. What it is depends on
// one thing: whether the disk that it was started from has a partition named state.
//
//	firmware       starts systemd-boot; with Secure Boot, if the fleet's key signed it
//	systemd-boot   takes a try from the entry's name and starts the UKI
//	systemd-stub   measures the UKI into PCR 11 and starts the kernel in it
//	stage1         /init, which is this program: loads modules, finds the booted disk,
//	               measures enter-initrd, gives the try back, opens state (on a stick
//	               there is none), caps PCR 11, verifies the root, lays state over it
//	systemd        the root's init; one of the two columns below is started
//
//	on a stick: stek-install                    on an installed disk
//	onbox finds the stick and its answers       stek-first-start: node settle binds the key
//	hardware looks, Make plans, Run does:       k3s: server, from images in the root
//	  enrol partition root state esp            stek-bless: node bless, at multi-user
//	  report boot                               stek-announce: node announce, until Ready
//	restart, into the right column
//
// Two starts settle the keys. The installer cannot know what the firmware will measure
// when it starts the disk, so without Secure Boot its TPM slot is provisional. The
// first start from the disk is opened by that slot and adds one bound to what was
// measured; the second is opened by the new one, and only then the old one goes
// (package vault, NextSteps).
//
// # Who writes which file
//
//	stick, FAT      stek/preseed.yaml                a person, or stek image customize
//	                stek/journal/SERIAL.jsonl        Run: which steps are done
//	                stek/reports/SERIAL/             onbox: inventory, plan, events, result,
//	                                                 answers; Run: recovery-key.age
//	disk, esp       EFI/Linux/stek-a[+N[-M]].efi     Run, last of all; its name: systemd-boot,
//	                                                 stage1 and node bless
//	                stek/header-backup.age           Run, then node settle
//	disk, state     stek/maintenance.key             Run: lets the box add key slots by itself
//	                stek/node.json                   Run: the plan and the redacted answers
//	                etc/upper/                       Run: host name, users, k3s' configuration;
//	                                                 stage1: machine-id; sshd's unit: host keys
//	                var/, home/, root/               systemd, k3s, pods, people
//	memory, /run    stek/installer or stek/node      stage1: what this is, and from which disk
//	                stek/unlock.json                 stage1: what opened state, and the PCRs then
//	                stek/timeline.json               stage1: when each of its parts was done
//
// Beside these there are the disk's entry among the firmware's variables (Run), and the
// TPM's NV memory, with the storage key that all keys are sealed under and the identity
// of the volume (Run, package tpm). Nothing else is written: the root is read-only on
// stick and disk, and what is not on state is gone with the power.
package installer
