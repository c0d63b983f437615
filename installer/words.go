package installer

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/hardware"
)

// WritePlan writes a plan for a person: which machine, which disk by its serial
// number, what is lost, how the disk will open, and each step.
func WritePlan(w io.Writer, p *Plan) error {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-10s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("Machine", "%s", p.Box.words())
	line("Node", "%s, k3s %s", p.NodeName, p.roleWords())
	p.Tunnel.write(line)
	line("Image", "stek %s, k3s %s", p.Image.Version, orUnknown(p.Image.K3s))
	line("Disk", "%s", disk.Describe(p.Disk.Chosen))
	if len(p.Disk.Erased) == 0 {
		line("Erased", "nothing: the disk is empty")
	}
	for i, e := range p.Disk.Erased {
		line(first(i, "Erased"), "%s", e)
	}
	for i, part := range p.Disk.Layout.Partitions {
		line(first(i, "Layout"), "%d %-7s %9s", part.Number, part.Name, hardware.Size(part.Size))
	}
	for i, u := range p.Unlock {
		line(first(i, "Unlock"), "%d. %s: %s", i+1, u.Method, u.Words)
	}
	line("Recovery", "%s", p.Recovery)
	p.Network.write(line)
	for i, s := range p.Steps {
		line(first(i, "Steps"), "%d. %s", i+1, s.Words)
	}
	line("Then", "%s", p.OnFinish)
	_, err := io.WriteString(w, b.String())
	return err
}

func (p *Plan) roleWords() string {
	if p.Server == "" {
		return p.Role
	}
	return p.Role + " of " + p.Server
}

func first(i int, name string) string {
	if i == 0 {
		return name
	}
	return ""
}

// words names the machine. Some makers stand in the product's name already.
func (b Box) words() string {
	name := b.Product
	if !strings.HasPrefix(name, b.Vendor) {
		name = b.Vendor + " " + name
	}
	return orUnknown(strings.TrimSpace(name) + serialWords(b.Serial))
}

func serialWords(serial string) string {
	if serial == "" {
		return ""
	}
	return ", serial " + serial
}

func orUnknown(s string) string {
	if strings.TrimSpace(s) == "" {
		return "unknown"
	}
	return s
}

// PlainLines renders events as lines of text, one per second at most while bytes move.
func PlainLines(w io.Writer) Emit {
	var started, shown time.Time
	return func(e Event) {
		switch e.Kind {
		case StepStarted:
			started, shown = e.Time, e.Time
			fmt.Fprintf(w, "* %s\n", e.Message)
		case StepProgress:
			if e.Done < e.Total && e.Time.Sub(shown) < time.Second {
				return
			}
			shown = e.Time
			fmt.Fprintf(w, "  %s\n", progressWords(e.Done, e.Total, e.Time.Sub(started)))
		case StepNote:
			fmt.Fprintf(w, "  %s\n", e.Message)
		case StepDone:
			fmt.Fprintf(w, "  done in %s\n", e.Time.Sub(started).Round(100*time.Millisecond))
		case StepSkipped:
			fmt.Fprintf(w, "* %s: was already done\n", e.Message)
		case StepFailed:
			fmt.Fprintf(w, "! %s\n", e.Message)
			if e.Remedy != "" {
				fmt.Fprintf(w, "  What to do: %s\n", e.Remedy)
			}
		}
	}
}

// progressWords says how far a copy is, how fast, and how long it will take.
func progressWords(done, total uint64, taken time.Duration) string {
	rate := float64(done) / max(taken.Seconds(), 0.001)
	words := fmt.Sprintf("%s of %s, %s/s", hardware.Size(done), hardware.Size(total), hardware.Size(uint64(rate)))
	if done < total && rate > 0 {
		left := time.Duration(float64(total-done) / rate * float64(time.Second))
		words += fmt.Sprintf(", %s left", left.Round(time.Second))
	}
	return words
}
