package node

import (
	"bytes"
	"testing"
	"time"

	"github.com/stek-edge/stek/installer/k3s"
	"github.com/stek-edge/stek/installer/vault"
	"github.com/stek-edge/stek/test/golden"
)

func TestBinding(t *testing.T) {
	slots := func(states ...vault.State) (s []*vault.Slot) {
		for i, state := range states {
			s = append(s, &vault.Slot{ID: i, Kind: vault.KindTPM2, State: state})
		}
		return s
	}
	for _, tt := range []struct {
		name  string
		slots []*vault.Slot
		want  string
	}{
		{"no TPM slot", nil, "none"},
		{"as the installer leaves it", slots(vault.StateProvisional), "provisional"},
		{"bound at the first start, not yet proved", slots(vault.StateCandidate, vault.StateProvisional), "provisional"},
		{"a candidate alone", slots(vault.StateCandidate), "provisional"},
		{"proved", slots(vault.StateBound), "bound"},
		{"a slot of another tool", slots(""), "none"},
	} {
		if got := binding(tt.slots); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestWriteText(t *testing.T) {
	s := Status{
		Node: "box-1", Version: "0.1.0", K3s: "v1.34.1+k3s1 (release)", SecureBoot: true,
		OpenedBy: "tpm2", OpenedSlot: 2, Binding: "bound",
		Slots:      []*vault.Slot{{ID: 0, Kind: vault.KindRecovery}, {ID: 2, Kind: vault.KindTPM2, State: vault.StateBound}},
		Protection: vault.Statement{Protected: []string{"The disk alone.", "The box switched off."}, NotProtected: []string{"The box while it runs."}},
		Timeline:   []Moment{{"kernel", 1500 * time.Millisecond, 1500 * time.Millisecond}, {"disk open", 2250 * time.Millisecond, 750 * time.Millisecond}},
		Cluster:    k3s.State{Problem: "kube-system/coredns is Pending", Pods: []k3s.Pod{{Namespace: "kube-system", Name: "coredns", Phase: "Pending"}}},
		Notes:      []string{"one", "two"},
	}
	var b bytes.Buffer
	if err := s.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "status.txt", b.Bytes())
}
