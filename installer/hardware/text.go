package hardware

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// WriteText writes an inventory as a technician reads it: the machine in a few
// lines, then each disk with what lies on it, then the network cards.
func WriteText(w io.Writer, inv *Inventory) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	row := func(cells ...string) {
		for i, c := range cells {
			cells[i] = clean(c)
		}
		// tabwriter ends a column at each tab; the last cell has none, so that
		// a long text does not widen a column.
		fmt.Fprintln(t, strings.TrimRight(strings.Join(cells, "\t"), " \t"))
	}
	row("Machine", machine(inv))
	row("Firmware", firmwareText(inv.Firmware))
	row("Processor", processor(inv))
	row("Memory", memory(inv.Memory))
	row("TPM", tpmText(inv.TPM))
	if err := t.Flush(); err != nil {
		return fmt.Errorf("writing the inventory: %w", err)
	}
	fmt.Fprintf(w, "\nDisks\n")
	if len(inv.Disks) == 0 {
		fmt.Fprintln(w, "  none found")
	}
	for i, head := range diskHeads(inv.Disks) {
		fmt.Fprintln(w, head)
		writeDisk(w, inv.Disks[i])
	}
	fmt.Fprintf(w, "\nNetwork cards\n")
	if len(inv.NICs) == 0 {
		fmt.Fprintln(w, "  none found")
	}
	for _, n := range inv.NICs {
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\n", clean(n.Name), clean(n.Type), orDash(clean(n.MAC)), orDash(clean(n.Driver)), orDash(clean(n.Path)))
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("writing the inventory: %w", err)
	}
	return nil
}

// diskHeads are the first lines of all disks, their columns under each other
// although other lines stand between them.
func diskHeads(disks []Disk) []string {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	for _, d := range disks {
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\tserial %s\n", clean(d.Path), clean(d.Bus), Size(d.Size), orDash(d.Name()), orDash(clean(d.Serial)))
	}
	t.Flush()
	return strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")[:len(disks)]
}

func writeDisk(w io.Writer, d Disk) {
	for _, n := range d.notes() {
		fmt.Fprintf(w, "      %s\n", clean(n))
	}
	if d.Fault != "" {
		return
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, p := range d.Partitions {
		c := orDash(p.Content)
		if p.Label != "" {
			c += fmt.Sprintf(" %q", clean(p.Label))
		}
		if len(p.Remains) > 0 {
			c += ", remains of " + strings.Join(p.Remains, ", ")
		}
		fmt.Fprintf(t, "    %4d\t%s\t%s\t%s\n", p.Number, Size(p.Size), orDash(clean(p.Name)), clean(c))
	}
	t.Flush()
}

// Name is what is printed on a disk: vendor and model.
func (d Disk) Name() string {
	return clean(d.Vendor + " " + d.Model)
}

// notes are the facts about a disk that matter to someone about to use it.
func (d Disk) notes() []string {
	var out []string
	if d.Boot {
		out = append(out, "the running system was started from it")
	}
	out = append(out, d.InUse...)
	if d.Fault != "" {
		return append(out, "its content is not known: "+d.Fault)
	}
	if d.ReadOnly {
		out = append(out, "read-only")
	}
	if d.Removable {
		out = append(out, "removable")
	}
	switch {
	case d.Table != "":
		out = append(out, fmt.Sprintf("%s partition table, sectors of %d bytes", d.Table, d.SectorSize))
	case d.Content == Unknown:
		out = append(out, "no partition table, data that nothing recognises")
	case d.Content != "":
		out = append(out, "no partition table, holds "+d.Content)
	default:
		out = append(out, "empty")
	}
	if len(d.Remains) > 0 {
		out = append(out, "remains of "+strings.Join(d.Remains, ", "))
	}
	return out
}

func machine(inv *Inventory) string {
	s := strings.TrimSpace(inv.Board.Vendor + " " + strings.TrimPrefix(inv.Board.Product, inv.Board.Vendor+" "))
	s = orDash(s) + ", " + inv.Arch
	if inv.Board.Serial != "" {
		s += ", serial " + inv.Board.Serial
	}
	return s
}

func firmwareText(f Firmware) string {
	s := map[string]string{"uefi": "UEFI", "bios": "BIOS", "raspberry-pi": "Raspberry Pi"}[f.Type]
	if s == "" {
		s = f.Type
	}
	if v := strings.TrimSpace(f.Vendor + " " + f.Version); v != "" {
		s += ", " + v
	}
	if f.Type == "uefi" {
		s += map[bool]string{true: "; Secure Boot on", false: "; Secure Boot off"}[f.SecureBoot]
		if f.SetupMode {
			s += ", in set-up mode (no keys enrolled)"
		}
	}
	return s
}

func processor(inv *Inventory) string {
	s := orDash(inv.CPU.Model) + fmt.Sprintf(", %d threads", inv.CPU.Cores)
	if inv.CPU.AES {
		return s + ", with AES"
	}
	return s + ", without AES"
}

// memory is sold in powers of two, unlike disks.
func memory(n uint64) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}

func tpmText(t TPM) string {
	if !t.Present {
		return "none"
	}
	s := fmt.Sprintf("version %d", t.Version)
	for _, v := range []string{t.Vendor, t.Device, t.Driver} {
		if v != "" {
			s += ", " + v
		}
	}
	if !t.SHA256 {
		return s + ", no SHA-256 bank"
	}
	if !t.Measured {
		return s + ", SHA-256, the firmware did not measure the boot"
	}
	return s + ", SHA-256, boot measured"
}

// Size spells a number of bytes the way disks are sold, in powers of ten, with
// three digits that count: 512 GB, 1.92 TB.
func Size(n uint64) string {
	units := []string{"B", "kB", "MB", "GB", "TB", "PB", "EB"}
	v, u := float64(n), 0
	for v >= 999.5 && u < len(units)-1 {
		v, u = v/1000, u+1
	}
	switch {
	case u == 0 || v >= 99.95:
		return fmt.Sprintf("%.0f %s", v, units[u])
	case v >= 9.995:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0") + " " + units[u]
	}
	return strings.TrimSuffix(strings.TrimSuffix(fmt.Sprintf("%.2f", v), "0"), ".0") + " " + units[u]
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
