package vault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
)

// cryptsetup puts together the calls of stock cryptsetup (2.6 and newer). Each
// method is one call and one atomic change of the header.
type cryptsetup struct {
	run    Runner
	device string
}

// call runs cryptsetup with an action first, so that errors can name it.
func (c cryptsetup) call(ctx context.Context, stdin []byte, files [][]byte, args ...string) ([]byte, error) {
	out, err := c.run.Run(ctx, Command{Name: "cryptsetup", Args: args, Stdin: stdin, Files: files})
	var exit *ExitError
	if errors.As(err, &exit) && exit.Code == 2 { // "no permission (bad passphrase)", cryptsetup(8)
		return nil, ErrWrongKey
	}
	return out, err
}

// kdf are the options for how a passphrase becomes the key of a slot.
type kdfOptions []string

var (
	// fastKDF is for keys of 256 random bits or more: stretching adds nothing to
	// them, and 1000 iterations, the least that LUKS2 allows, take 1 ms.
	fastKDF = kdfOptions{"--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--hash", "sha512"}
	// slowKDF is for what a person types. 64 MiB fits the smallest box; fixed
	// costs instead of a benchmark, which would depend on what else the
	// installer is doing. About 1 s on a slow core.
	slowKDF = kdfOptions{"--pbkdf", "argon2id", "--pbkdf-memory", "65536", "--pbkdf-parallel", "2", "--pbkdf-force-iterations", "10", "--hash", "sha512"}
)

// areaCipher encrypts the slot areas, whatever the volume's cipher is: luks.go
// knows no other one.
var areaCipher = []string{"--keyslot-cipher", string(AESXTS), "--keyslot-key-size", "512"}

// HeaderSize is what a new volume has before its data, bytes: two headers and the areas of
// the key slots. It is cryptsetup's own choice (LUKS2_DEFAULT_HDR_SIZE in its lib/luks2).
const HeaderSize = 16 << 20

func (c cryptsetup) format(ctx context.Context, o FormatOptions, key []byte) error {
	bits := 512
	if o.Cipher != AESXTS {
		bits = 256
	}
	args := []string{"luksFormat", "--batch-mode", "--type", "luks2",
		"--cipher", string(o.Cipher), "--key-size", strconv.Itoa(bits),
		"--sector-size", "4096", "--label", o.Label, "--key-slot", "0",
		// The default of 16 KiB leaves 12 for the JSON: too tight for a few TPM
		// tokens with a signing key each.
		"--luks2-metadata-size", "32k"}
	args = append(append(args, fastKDF...), areaCipher...)
	if o.UUID != "" {
		args = append(args, "--uuid", o.UUID)
	}
	_, err := c.call(ctx, key, nil, append(args, "--", c.device, "-")...)
	return err
}

// addKey adds a slot. existing opens any slot.
func (c cryptsetup) addKey(ctx context.Context, existing, key []byte, slot int, k kdfOptions) error {
	args := append([]string{"luksAddKey", "--batch-mode", "--key-file", "-", "--new-key-slot", strconv.Itoa(slot)}, k...)
	args = append(append(args, areaCipher...), "--", c.device, "/proc/self/fd/3")
	_, err := c.call(ctx, existing, [][]byte{key}, args...)
	return err
}

// killSlot removes a slot and overwrites its area. With --batch-mode it asks for
// no key.
func (c cryptsetup) killSlot(ctx context.Context, slot int) error {
	_, err := c.call(ctx, nil, nil, "luksKillSlot", "--batch-mode", "--", c.device, strconv.Itoa(slot))
	return err
}

// importToken writes a token, replacing the one with that number.
func (c cryptsetup) importToken(ctx context.Context, id int, json []byte, replace bool) error {
	args := []string{"token", "import", "--token-id", strconv.Itoa(id), "--json-file", "-"}
	if replace {
		args = append(args, "--token-replace")
	}
	_, err := c.call(ctx, json, nil, append(args, "--", c.device)...)
	return err
}

func (c cryptsetup) removeToken(ctx context.Context, id int) error {
	_, err := c.call(ctx, nil, nil, "token", "remove", "--token-id", strconv.Itoa(id), "--", c.device)
	return err
}

// restore writes a header backup, which is a plain file.
func (c cryptsetup) restore(ctx context.Context, backup *os.File) error {
	path := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), backup.Fd())
	_, err := c.call(ctx, nil, nil, "luksHeaderRestore", "--batch-mode", "--header-backup-file", path, "--", c.device)
	return err
}
