package installer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf16"
)

// bootLabel names our entry in the firmware's boot menu.
const bootLabel = "stek"

// efiGlobal is the vendor GUID of the firmware's own variables (UEFI 2.10, 3.3).
const efiGlobal = "8be4df61-93ca-11d2-aa0d-00e098032b8c"

// addBootEntry puts the disk first in the firmware's boot order and removes older
// entries of ours, which would fill the firmware's memory over the years. The
// firmware then starts the disk even while the stick is still in.
func addBootEntry(ctx context.Context, run Runner, efivars, disk string, part int) error {
	for _, number := range ownEntries(efivars) {
		if _, err := run.Run(ctx, nil, "efibootmgr", "--quiet", "--bootnum", number, "--delete-bootnum"); err != nil {
			return fmt.Errorf("removing an older entry from the firmware's boot menu: %w", err)
		}
	}
	_, err := run.Run(ctx, nil, "efibootmgr", "--quiet", "--create", "--disk", disk, "--part", fmt.Sprint(part),
		"--label", bootLabel, "--loader", `\EFI\systemd\systemd-bootx64.efi`)
	if err != nil {
		return fmt.Errorf("adding the disk to the firmware's boot menu: %w", err)
	}
	return nil
}

// StartDiskNext makes the firmware start our entry at the next start, once.
func StartDiskNext(ctx context.Context, run Runner, efivars string) error {
	own := ownEntries(efivars)
	if len(own) == 0 {
		return errors.New("the firmware's boot menu has no entry for the disk")
	}
	if _, err := run.Run(ctx, nil, "efibootmgr", "--quiet", "--bootnext", own[0]); err != nil {
		return fmt.Errorf("telling the firmware to start the disk next: %w", err)
	}
	return nil
}

// ownEntries lists the numbers of the Boot#### variables that carry our label.
func ownEntries(efivars string) []string {
	var numbers []string
	names, _ := filepath.Glob(filepath.Join(efivars, "Boot????-"+efiGlobal))
	for _, name := range names {
		b, err := os.ReadFile(name)
		number := strings.TrimPrefix(filepath.Base(name), "Boot")[:4]
		if _, notHex := strconv.ParseUint(number, 16, 16); err == nil && notHex == nil && loadOptionLabel(b) == bootLabel {
			numbers = append(numbers, number)
		}
	}
	return numbers
}

// loadOptionLabel reads the description out of a load option as efivarfs shows it:
// four bytes of variable attributes, then EFI_LOAD_OPTION (UEFI 2.10, 3.1.3).
func loadOptionLabel(b []byte) string {
	const header = 4 + 4 + 2 // variable attributes, option attributes, length of the path list
	if len(b) < header {
		return ""
	}
	var u []uint16
	for i := header; i+1 < len(b); i += 2 {
		c := binary.LittleEndian.Uint16(b[i:])
		if c == 0 {
			return string(utf16.Decode(u))
		}
		u = append(u, c)
	}
	return ""
}
