// Package tpm speaks to a TPM 2.0: it reads and extends PCRs, seals a secret to a
// policy, unseals it again, and keeps the identity of a volume in NV memory. Objects
// and policies have the form that systemd's "systemd-tpm2" LUKS2 token describes, so
// that stock tools open what is sealed here and the other way round.
//
//	dev, err := tpm.Open("/dev/tpmrm0")
//	if err != nil {
//		return err // *NoDeviceError, *FailedError, …: each has Remedy()
//	}
//	defer dev.Close()
//	now, err := dev.ReadPCRs(ctx, 7)
//	sealed, err := dev.Seal(ctx, secret, tpm.Policy{
//		Signed:  &tpm.Signed{Key: pcrKey, PCRs: []int{11}},
//		Literal: now,
//	}, nil)
//	…
//	secret, err := dev.Unseal(ctx, sealed, signatures, nil)
//
// # What it never does
//
// It never clears a TPM, never sets or changes an authorization value of a hierarchy,
// and never removes a key or an NV index that it did not make. It does not retry after a
// wrong PIN or during a lockout. It never puts a secret into an error.
//
// # Sessions
//
// Whoever sits on the wires between processor and chip can read and change every byte
// (CVE-2026-0714 is a box whose SLB9670 was read that way). So a session's key comes
// from a salt encrypted to the storage root key (SRK); secrets and answers that carry
// secrets are encrypted with AES-128-CFB under that session; and whatever is decided upon
// (unsealed data, NV contents, an extended PCR) carries an HMAC under it. The public part
// of the SRK comes from the sealed object's own record, not from the wire, and its name is
// compared with the name of the key in the TPM before anything else is done. Before the
// first Unseal (or [Device.Pin]) no record exists, and the key found in the TPM is trusted
// on first use. PCR values read with ReadPCRs carry no proof; a policy that was built on
// changed ones does not unseal.
//
// Two session kinds are used, both salted: one HMAC session for the life of the Device
// and one policy session for each Unseal.
//
// go-tpm's own sessions are not used, because they cut an authorization value at its first
// zero byte (the specification, part 1 section 19.6.5, trims only trailing ones). One PIN
// in nine would never open its object.
//
// # Policies
//
// In this order: PolicyAuthorize (any set of PCR values that the key has signed),
// PolicyPCR (literal values), PolicyAuthValue (a PIN). See [Policy].
package tpm
