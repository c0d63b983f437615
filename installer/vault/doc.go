// Package vault keeps the one encrypted volume of a box, the partition named
// state: it makes the LUKS2 volume, manages its key slots and tokens, opens it
// in the first process of the initramfs, and says in plain words what a set-up
// protects against.
//
// # Two halves
//
// Opening ([Inspect], [Header.Unlock]) runs where nothing but this binary
// exists. It starts no program and writes nothing to the disk. LUKS2 metadata is
// not authenticated, so whoever held the disk may have rewritten it: every field
// is checked against a short list before it is used, and what was checked is
// encoded anew for the library that derives the keys. That library never sees
// the bytes on the disk, cannot read them a second time with another result, and
// cannot understand them in another way than the checks did.
//
// Managing ([Manager]) runs where stock cryptsetup exists: on the installer and
// on the running box. Every change of the metadata is one call of cryptsetup,
// which writes its two header copies so that a power cut leaves the old or the
// new state. Everything longer than one call is laid out so that a cut between
// two calls leaves a volume that still opens, and [Manager.Tidy] ends what was
// cut off.
//
// # Slots and tokens
//
// A key slot is one way in; its token says which. [KindRecovery] and [KindTPM2]
// have the token types that systemd-cryptenroll writes, so a stock Debian opens
// the volume with the recovery key, and a volume enrolled by stock tools opens
// here. The others have types of our own: stek-maintenance, stek-passphrase,
// stek-key-stick (which no installation makes yet), and stek-unlock, which belongs to
// no slot and holds the unlock order.
//
// A TPM slot carries a generation and a [State]. A new one is added beside the
// old as a candidate; it is bound, and the old one is removed, only when a later
// boot was opened by it ([Header.NextSteps]). The installer's first one is
// provisional where its final policy cannot be known before the disk has started.
//
// # What a TPM slot is bound to
//
// [FinalPolicy] decides. With Secure Boot and a signed image ([SignedPolicy]) it is any
// PCR 11 that the image's builder signed, and the value of PCR 7; otherwise the values of
// PCR 4, 7 and 11. A provisional slot ([ProvisionalPolicy]) leaves out PCR 4, which
// differs between stick and disk. Each of them wants PCR 12 and 15 to be zero, so that
// nothing was handed to the kernel from outside and no volume was opened before. A PIN
// comes on top.
//
// So with Secure Boot the volume opens as before after an update of the image, and of
// firmware where that leaves PCR 7 as it is. What changes a value shuts the slot: the recovery key
// opens, and package node adds a slot with the new values.
//
// # What it must never do
//
// Remove the last way in, or the last recovery key, unless forced. Put a key in
// an argument, an error or a log. Trust a header because its checksum fits: the
// checksum has no key. Map a volume whose cipher is not on the list, such as
// cipher_null.
//
// # Example
//
//	hdr, err := vault.Inspect("/dev/nvme0n1p4")
//	if err != nil {
//		return err // not LUKS, damaged, or refused: three different errors
//	}
//	vol, err := hdr.Unlock(ctx,
//		vault.ByTPM{Unsealer: dev, Signature: sig, PIN: askPIN},
//		vault.ByTyping{Ask: askRecoveryKey, Tries: 3})
//	if err != nil {
//		return err // a *LockedError: what was tried, in order, and why it failed
//	}
//	defer vol.Close()
//	if err := vol.CheckIdentity(fromNV); err != nil {
//		return err // somebody put another volume in its place
//	}
//	node, err := vol.Map()
package vault
