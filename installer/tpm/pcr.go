package tpm

import (
	"context"
	"crypto"
	_ "crypto/sha1" // the hashes of PCR banks
	"crypto/sha256"
	_ "crypto/sha3"
	_ "crypto/sha512"
	"fmt"
	"maps"
	"slices"

	"github.com/google/go-tpm/tpm2"
)

// PCRs holds values of the SHA-256 bank by PCR number; each value has 32 bytes.
type PCRs map[int][]byte

// Numbers returns the PCR numbers, smallest first.
func (p PCRs) Numbers() []int { return slices.Sorted(maps.Keys(p)) }

// Changed returns the numbers of the PCRs that have another value in now, or none.
func (p PCRs) Changed(now PCRs) []int {
	var out []int
	for _, n := range p.Numbers() {
		if string(p[n]) != string(now[n]) {
			out = append(out, n)
		}
	}
	return out
}

// lastPCR: a PC has 24 PCRs (TCG PC Client Platform TPM Profile, section 4.6.2).
const lastPCR = 23

// bank is one active PCR bank.
type bank struct {
	alg  tpm2.TPMAlgID
	name string
	hash crypto.Hash // 0: Go has no such hash
	size int         // bytes of a value
}

// knownBanks are the hashes a TPM may have (TCG Algorithm Registry, table 3).
var knownBanks = []bank{
	{tpm2.TPMAlgSHA1, "sha1", crypto.SHA1, 20},
	{tpm2.TPMAlgSHA256, "sha256", crypto.SHA256, 32},
	{tpm2.TPMAlgSHA384, "sha384", crypto.SHA384, 48},
	{tpm2.TPMAlgSHA512, "sha512", crypto.SHA512, 64},
	{0x0012, "sm3_256", 0, 32},
	{0x0027, "sha3_256", crypto.SHA3_256, 32},
	{0x0028, "sha3_384", crypto.SHA3_384, 48},
	{0x0029, "sha3_512", crypto.SHA3_512, 64},
}

// banks lists the banks that have PCRs.
func (o *op) banks() ([]bank, error) {
	rsp, err := tpm2.GetCapability{Capability: tpm2.TPMCapPCRs, PropertyCount: 1}.Execute(o)
	if err != nil {
		return nil, fmt.Errorf("listing the PCR banks: %w", err)
	}
	list, err := rsp.CapabilityData.Data.AssignedPCR()
	if err != nil {
		return nil, fmt.Errorf("listing the PCR banks: %w", err)
	}
	var out []bank
	for _, s := range list.PCRSelections {
		if !slices.ContainsFunc(s.PCRSelect, func(b byte) bool { return b != 0 }) {
			continue
		}
		i := slices.IndexFunc(knownBanks, func(b bank) bool { return b.alg == s.Hash })
		if i < 0 {
			return nil, fmt.Errorf("the TPM has a PCR bank of an unknown kind, %#x", uint16(s.Hash))
		}
		out = append(out, knownBanks[i])
	}
	return out, nil
}

func bankNames(banks []bank) []string {
	var out []string
	for _, b := range banks {
		out = append(out, b.name)
	}
	return out
}

// needSHA256 gives the *NoBankError.
func (o *op) needSHA256() error {
	banks, err := o.banks()
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(banks, func(b bank) bool { return b.alg == tpm2.TPMAlgSHA256 }) {
		return &NoBankError{Banks: bankNames(banks)}
	}
	return nil
}

// ReadPCRs reads values of the SHA-256 bank. Without that bank the error is a *NoBankError.
// The values carry no proof: use them to build a policy or to explain, not to decide.
func (d *Device) ReadPCRs(ctx context.Context, pcrs ...int) (PCRs, error) {
	o, done := d.begin(ctx)
	defer done()
	return o.readPCRs(pcrs)
}

func (o *op) readPCRs(pcrs []int) (PCRs, error) {
	want, err := pcrSet(pcrs)
	if err != nil {
		return nil, err
	}
	out := PCRs{}
	for len(want) > 0 { // the TPM returns at most 8 values at a time
		rsp, err := tpm2.PCRRead{PCRSelectionIn: selection(want)}.Execute(o)
		if err != nil {
			return nil, fmt.Errorf("reading PCRs: %w", err)
		}
		got := selected(rsp.PCRSelectionOut)
		if len(got) == 0 {
			if err := o.needSHA256(); err != nil {
				return nil, err
			}
			return nil, fmt.Errorf("reading PCRs: the TPM has no PCR %d", want[0])
		}
		if len(got) != len(rsp.PCRValues.Digests) {
			return nil, fmt.Errorf("reading PCRs: %d values for %d PCRs", len(rsp.PCRValues.Digests), len(got))
		}
		for i, n := range got {
			v := rsp.PCRValues.Digests[i].Buffer
			if !slices.Contains(want, n) || len(v) != sha256.Size {
				return nil, fmt.Errorf("reading PCRs: an answer that was not asked for (PCR %d, %d bytes)", n, len(v))
			}
			out[n] = v
			want = slices.DeleteFunc(want, func(w int) bool { return w == n })
		}
	}
	return out, nil
}

// pcrSet sorts, and refuses what is not a PCR.
func pcrSet(pcrs []int) ([]int, error) {
	set := slices.Clone(pcrs)
	slices.Sort(set)
	set = slices.Compact(set)
	for _, n := range set {
		if n < 0 || n > lastPCR {
			return nil, fmt.Errorf("there is no PCR %d", n)
		}
	}
	return set, nil
}

// selection is a TPML_PCR_SELECTION of the SHA-256 bank. An empty set gives an empty list.
func selection(pcrs []int) tpm2.TPMLPCRSelection {
	bits := make([]byte, 3) // PC Client: always three bytes
	for _, n := range pcrs {
		bits[n/8] |= 1 << (n % 8)
	}
	return tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{Hash: tpm2.TPMAlgSHA256, PCRSelect: bits}}}
}

func selected(list tpm2.TPMLPCRSelection) []int {
	var out []int
	for _, s := range list.PCRSelections {
		for i := range 8 * len(s.PCRSelect) {
			if s.Hash == tpm2.TPMAlgSHA256 && s.PCRSelect[i/8]&(1<<(i%8)) != 0 {
				out = append(out, i)
			}
		}
	}
	return out
}

// Extend measures an event: each active bank is extended with its own hash of event.
// See [Device.ExtendDigests] for errors.
func (d *Device) Extend(ctx context.Context, pcr int, event []byte) error {
	return d.ExtendDigests(ctx, pcr, func(h crypto.Hash) []byte {
		x := h.New()
		x.Write(event)
		return x.Sum(nil)
	})
}

// ExtendDigests extends each active bank with what digest gives for the bank's hash, for
// instance an HMAC. A bank whose hash Go lacks (SM3) is extended with the SHA-256 one, so
// that no bank keeps its old value.
//
// The TPM proves that it did so. If that proof cannot be had, the PCR is extended (once
// more) without one, so that a cap holds as far as this can make it hold, and the error is
// an *UnprovenError. Any other error means that the PCR was not extended.
func (d *Device) ExtendDigests(ctx context.Context, pcr int, digest func(h crypto.Hash) []byte) error {
	if pcr < 0 || pcr > lastPCR {
		return fmt.Errorf("there is no PCR %d", pcr)
	}
	o, done := d.begin(ctx)
	defer done()
	banks, err := o.banks()
	if err != nil {
		return err
	}
	cmd := tpm2.PCRExtend{}
	for _, b := range banks {
		h := b.hash
		if h == 0 {
			h = crypto.SHA256
		}
		v := digest(h)
		if len(v) != b.size {
			return fmt.Errorf("extending PCR %d: a digest of %d bytes for the %s bank", pcr, len(v), b.name)
		}
		cmd.Digests.Digests = append(cmd.Digests.Digests, tpm2.TPMTHA{HashAlg: b.alg, Digest: v})
	}
	handle := tpm2.TPMHandle(pcr)
	err = o.withSession(fmt.Sprintf("extending PCR %d", pcr), func(s *session) error {
		cmd.PCRHandle = tpm2.AuthHandle{Handle: handle, Name: tpm2.HandleName(handle), Auth: s.use(nil, false, false)}
		_, err := cmd.Execute(o)
		return err
	})
	if err == nil {
		return nil
	}
	cmd.PCRHandle = tpm2.AuthHandle{Handle: handle, Name: tpm2.HandleName(handle), Auth: tpm2.PasswordAuth(nil)}
	if _, plain := cmd.Execute(o); plain != nil {
		return err
	}
	return &UnprovenError{PCR: pcr, Err: err}
}

// ReplayPCR computes the SHA-256 value that a PCR has after the events were measured one
// after another. A nil initial value stands for 32 zero bytes, as after a reset.
func ReplayPCR(initial []byte, events ...[]byte) []byte {
	value := make([]byte, sha256.Size)
	copy(value, initial)
	for _, e := range events {
		h := sha256.Sum256(e)
		next := sha256.Sum256(append(value, h[:]...))
		value = next[:]
	}
	return value
}

// UsualCause says in plain words what a PCR stands for and so what changes it (TCG PC
// Client Platform Firmware Profile, section 3.3.4; UAPI group "Linux TPM PCR Registry").
func UsualCause(pcr int) string {
	switch pcr {
	case 0:
		return "the firmware (a firmware update)"
	case 1:
		return "firmware settings, boot order or added hardware"
	case 2, 3:
		return "firmware of an added card or its settings"
	case 4:
		return "the boot loader or kernel that was started (an update, or a start from another disk)"
	case 5:
		return "the partition table of the boot disk"
	case 6:
		return "a wake-up or vendor event of the firmware"
	case 7:
		return "Secure Boot: switched on or off, or its keys or revocation list (dbx) changed"
	case 8, 9:
		return "kernel command line or initramfs"
	case 11:
		return "the system image (UKI), or the boot is past the point where the disk may be opened"
	case 12:
		return "a command line or credentials given to the kernel from outside the image"
	case 13:
		return "system extension images"
	case 14:
		return "machine owner keys of shim"
	case 15:
		return "another volume was opened before"
	}
	return "unknown"
}
