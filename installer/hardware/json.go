package hardware

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode"
)

// maxInventory bounds a captured machine. A box with dozens of disks needs some
// 100 KiB.
const maxInventory = 4 << 20

// Load reads a captured machine. It is strict: an unknown key, a second document,
// more than 4 MiB or a value that no machine can have is an error, because a plan
// is made from what it says.
func Load(r io.Reader) (*Inventory, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxInventory+1))
	if err != nil {
		return nil, fmt.Errorf("reading the captured machine: %w", err)
	}
	if len(data) > maxInventory {
		return nil, fmt.Errorf("reading the captured machine: longer than %d bytes", maxInventory)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var inv Inventory
	if err := dec.Decode(&inv); err != nil {
		return nil, fmt.Errorf("reading the captured machine: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("reading the captured machine: something follows the inventory")
	}
	if err := inv.check(); err != nil {
		return nil, fmt.Errorf("reading the captured machine: %w", err)
	}
	return &inv, nil
}

// Save writes a captured machine as indented JSON that Load reads back.
func Save(w io.Writer, inv *Inventory) error {
	data, err := json.MarshalIndent(inv, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the captured machine: %w", err)
	}
	if _, err := w.Write(append(data, '\n')); err != nil {
		return fmt.Errorf("writing the captured machine: %w", err)
	}
	return nil
}

// check refuses what would lead a plan astray: sector sizes it would divide by,
// two disks with one name, control characters that would reach a terminal.
func (inv *Inventory) check() error {
	if inv.Arch == "" {
		return errors.New("arch is missing")
	}
	seen := map[string]bool{}
	for i, d := range inv.Disks {
		if d.Path == "" || hasControl(d.Path) {
			return fmt.Errorf("disks[%d]: path is missing or not printable", i)
		}
		if seen[d.Path] {
			return fmt.Errorf("disks[%d]: a second disk %s", i, d.Path)
		}
		seen[d.Path] = true
		if !validSector(d.SectorSize) {
			return fmt.Errorf("disks[%d]: a sector size of %d bytes is not possible", i, d.SectorSize)
		}
		if d.Size%uint64(d.SectorSize) != 0 {
			return fmt.Errorf("disks[%d]: size %d is not a whole number of sectors", i, d.Size)
		}
		for j, p := range d.Partitions {
			if p.Number < 1 {
				return fmt.Errorf("disks[%d].partitions[%d]: number %d is not possible", i, j, p.Number)
			}
			if p.Start+p.Size < p.Start {
				return fmt.Errorf("disks[%d].partitions[%d]: start and size overflow", i, j)
			}
		}
	}
	return nil
}

func validSector(n uint32) bool {
	return n >= 512 && n <= 65536 && n&(n-1) == 0
}

func hasControl(s string) bool {
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return true
		}
	}
	return false
}
