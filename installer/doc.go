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
// It must never write to another disk than the one that the plan describes (serial number,
// WWN, model, bus and sizes: hardware.SameDevice), never erase without the consent that the
// answers give, never install without an unlock method that the answers ask for, and never
// put a secret into an event, the journal or a report.
//
//	plan, err := installer.Make(answers, inventory, image, ids)
//	err = installer.Run(ctx, plan, site, func(e installer.Event) { fmt.Println(e.Message) })
//
// # An installation that is cut
//
// The next Run makes the same plan and reads the journal. It skips what the journal calls
// done, and the disk confirms: the partition table, and the root, which is read back. All
// else is done again, and state is always made anew, since its keys live in memory only and
// nothing of a node is in it yet. Before root or state is written, what an earlier try has
// made bootable is taken away with the boot sector of the ESP, and the volume bears the label
// stek-unfinished until all is done. A disk whose table has the identities that the journal
// keeps, and whose volume does not bear the label of a finished one, is an earlier try of
// this stick and not an installed node: it may be written again without a further word in
// the answers. The last step writes the loader, EFI/BOOT/BOOTX64.EFI, then the firmware's
// entry, then the label.
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
//	               there is none), caps PCR 11, mounts the root by dm-verity, lays state over it
//	systemd        the root's init; one of the two columns below is started
//
//	on a stick: stek-install                    on an installed disk
//	onbox finds the stick and its answers,      stek-network-settle: keep ends a cut trial
//	  fetches them, or has tui ask for them     stek-clock: package clock sets its floor
//	hardware looks, Make plans, Run does:       stek-first-start: node settle binds the key
//	  check [enrol, restart] partition          k3s: server or agent, from images in the root
//	  root state esp report boot                stek-bless: node bless, at multi-user
//	restart, into the right column              stek-announce: node announce, until Ready
//
// The right column is that of every start, stek-first-start included: it finds nothing
// to do once the key is bound. Beside it systemd-networkd, wpa_supplicant and package
// network's joined work by the files of package network, and nothing waits for them. A box
// whose disk does not open never comes to the columns: package stage1 tells what happens
// then. The units lie in images/overlay, k3s' in installer/k3s. A stick may stay in: the disk comes first in the
// firmware's order, and where a firmware starts the stick all the same, onbox finds its
// own mark there and restarts into the disk.
//
// Two starts settle the keys. The installer cannot know what the firmware will measure
// when it starts the disk, so without Secure Boot, or from an image without a signed
// policy, its TPM slot is provisional. The first start from the disk is opened by that
// slot and adds one bound to what was measured; the second is opened by the new one,
// and only then the old one goes (package vault, NextSteps). With both, the slot has its
// final policy from the beginning, and the first start confirms it. A firmware update
// that changes what the slot is bound to goes the same way, with the recovery key in
// place of the first slot.
//
// # Who writes which file
//
//	stick, FAT      stek/preseed.yaml                a person, or stek image customize
//	                stek/preseed.url                 a person, instead: where to fetch it
//	                stek/secrets.key, *.minisig      a person: opens the secrets file, whose
//	                                                 name the answers give; signatures
//	                stek/*.conf, .pem, .crt, .key    a person: a tunnel and certificates, which
//	                                                 the screens offer
//	                stek/answers.yaml                onbox, for a person who saves what was
//	                                                 typed; no installation reads it
//	                stek/journal/SERIAL.jsonl        Run: which steps are done, and the identities
//	                                                 of the partition table
//	                stek/reports/SERIAL/             onbox: inventory, plan, events, result,
//	                                                 answers, the marks "installed" and
//	                                                 "start-from-disk-tried";
//	                                                 Run: recovery-key.age, wireguard.pub
//	disk, esp       EFI/systemd/, loader/            Run, copied from the stick
//	                EFI/Linux/stek-a[+N[-M]].efi     Run, last but one; its name: systemd-boot,
//	                                                 stage1 and node bless
//	                EFI/BOOT/BOOTX64.EFI             Run, last of all files
//	                stek/keymap                      Run: the keyboard, for stage1
//	                stek/header-backup.age           Run, then node settle and stek key, where
//	                                                 the answers name a recipient
//	                stek/reports/SERIAL/             onbox, when the stick cannot be written
//	disk, state     stek/maintenance.key             Run: lets the box add key slots by itself
//	                stek/node.json                   Run: the plan and the redacted answers
//	                stek/network/                    Run, then package keep: what works
//	                stek/clock                       stek-clock and stek-clock-save
//	                etc/upper/                       Run: host name, users, network, k3s;
//	                                                 keep: a network that was applied;
//	                                                 stage1: machine-id;
//	                                                 stek-ssh-keys: host keys
//	                root/.ssh/authorized_keys        Run
//	                var/, home/, root/               systemd, k3s, pods, people
//	memory, /run    stek/installer or stek/node      stage1: what this is, and from which disk
//	                stek/unlock.json                 stage1: what opened state, and the PCRs then
//	                stek/sealed-key.json             stage1: a new key with a PIN, until node
//	                                                 settle has made its slot
//	                stek/timeline.json               stage1: when each of its parts was done
//	                stek/tpm-closed/                 stage1, or node close-tpm for a TPM that
//	                                                 came later: each TPM with PCR 11 capped
//	        /var/lib/cni                             the CNI plugins: the pods' network, which no
//	                                                 start outlives
//
// Beside these there are the firmware's variables, with the disk's entry and where asked
// the Secure Boot keys (Run) and the entry of the next start (onbox), and the TPM's NV
// memory, with the storage key that all keys are sealed under and the identity of the
// volume (Run, then node settle on a new TPM; package tpm). Nothing else of a box lasts:
// the root is read-only on stick and disk, and what is not on state is gone with the
// power.
package installer
