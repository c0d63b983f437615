package node

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/stek-edge/stek/installer/k3s"
	"github.com/stek-edge/stek/installer/vault"
)

// Status is how a node is, for a person and, as JSON, for a program. It holds no
// secret.
type Status struct {
	Node       string          `json:"node"`
	Version    string          `json:"version"`
	K3s        string          `json:"k3s"`
	SecureBoot bool            `json:"secure-boot"`
	SetupMode  bool            `json:"setup-mode"`
	OpenedBy   string          `json:"opened-by"` // how the disk was opened at this start
	OpenedSlot int             `json:"opened-slot"`
	Binding    string          `json:"binding"` // bound | provisional | none
	Slots      []*vault.Slot   `json:"slots"`
	Protection vault.Statement `json:"protection"`
	Timeline   []Moment        `json:"timeline"`
	Cluster    k3s.State       `json:"cluster"`
	Notes      []string        `json:"notes,omitempty"`
}

// Moment is one mark of the timeline with the time it took since the one before.
type Moment struct {
	Name  string        `json:"name"`
	Since time.Duration `json:"since"` // since the kernel started, nanoseconds
	Took  time.Duration `json:"took"`  // since the moment before, nanoseconds
}

// Firmware is what the firmware says of Secure Boot.
type Firmware struct{ SecureBoot, SetupMode bool }

// Status puts together how the node is.
func (f *Facts) Status(ctx context.Context, fw Firmware) Status {
	plan := f.Record.Plan
	s := Status{
		Node: plan.NodeName, Version: plan.Image.Version, K3s: plan.Image.K3s,
		SecureBoot: fw.SecureBoot, SetupMode: fw.SetupMode,
		OpenedBy: string(f.Unlocked.Kind), OpenedSlot: f.Unlocked.Slot,
		Slots: f.Header.Slots, Binding: binding(f.Header.TPM2Slots()),
		Protection: vault.Protection(vault.Situation{Slots: f.Header.Slots, Measured: true, SecureBoot: fw.SecureBoot}),
		Cluster:    k3s.Look(ctx),
	}
	var before time.Duration
	for _, m := range f.Timeline {
		s.Timeline = append(s.Timeline, Moment{m.Name, m.Since, m.Since - before})
		before = m.Since
	}
	s.Notes = append(s.Notes, s.Protection.Open...)
	for _, tried := range f.Unlocked.Tried {
		s.Notes = append(s.Notes, "before the disk opened, this had failed: "+tried)
	}
	return s
}

// binding tells how far the binding to this machine has come. Only a slot that has
// opened the disk at a start is bound; slots of other tools say nothing.
func binding(slots []*vault.Slot) string {
	state := "none"
	for _, slot := range slots {
		switch slot.State {
		case vault.StateProvisional, vault.StateCandidate:
			return "provisional"
		case vault.StateBound:
			state = "bound"
		}
	}
	return state
}

// WriteText writes the status for a person.
func (s Status) WriteText(w io.Writer) error {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		b.WriteString(strings.TrimRight(fmt.Sprintf("%-11s ", name)+fmt.Sprintf(format, args...), " ") + "\n")
	}
	ready := "NOT READY"
	if s.Cluster.Ready {
		ready = "READY"
	}
	line("Node", "%s  %s", s.Node, ready)
	if s.Cluster.Problem != "" {
		line("", "%s", s.Cluster.Problem)
	}
	line("Image", "stek %s, k3s %s", s.Version, s.K3s)
	for i, p := range s.Cluster.Pods {
		name := ""
		if i == 0 {
			name = "Pods"
		}
		line(name, "%s/%s %s", p.Namespace, p.Name, p.Phase)
	}
	line("Disk", "opened by %s (slot %d), key %s", s.OpenedBy, s.OpenedSlot, s.Binding)
	for i, slot := range s.Slots {
		name := ""
		if i == 0 {
			name = "Key slots"
		}
		line(name, "%d %s %s", slot.ID, slot.Kind, slot.State)
	}
	line("Secure Boot", "%s", onOff(s.SecureBoot))
	for i, p := range s.Protection.Protected {
		name := ""
		if i == 0 {
			name = "Protects"
		}
		line(name, "%s", p)
	}
	for i, p := range s.Protection.NotProtected {
		name := ""
		if i == 0 {
			name = "Does not"
		}
		line(name, "%s", p)
	}
	for i, m := range s.Timeline {
		name := ""
		if i == 0 {
			name = "Start"
		}
		line(name, "%7.3f s  (+%.3f)  %s", m.Since.Seconds(), m.Took.Seconds(), m.Name)
	}
	for i, n := range s.Notes {
		name := ""
		if i == 0 {
			name = "Notes"
		}
		line(name, "%s", n)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// Announce waits until the node is ready and tells it to w, which is every console:
// the technician who is waiting for a green light reads it there. While it is not,
// it says every half minute what is missing. It returns when the node was ready once.
func Announce(ctx context.Context, f *Facts, fw Firmware, w io.Writer) error {
	var said time.Time
	for {
		cluster := k3s.Look(ctx)
		if cluster.Ready {
			fmt.Fprintf(w, "\nThis box is ready.\n")
			return f.Status(ctx, fw).WriteText(w)
		}
		if time.Since(said) > 30*time.Second {
			fmt.Fprintf(w, "stek: not ready yet: %s\n", cluster.Problem)
			said = time.Now()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(3 * time.Second):
		}
	}
}
