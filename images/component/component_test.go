package component

import "testing"

func TestLabel(t *testing.T) {
	for _, c := range []struct {
		name string
		in   Component
		want string
	}{
		{"released", Component{Version: "v1.2.3", Production: true}, "v1.2.3"},
		{"built", Component{Version: "v1.2.3"}, "v1.2.3 (not for production)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.in.Label(); got != c.want {
				t.Errorf("Label() = %q, want %q", got, c.want)
			}
		})
	}
}

func TestNilReport(t *testing.T) {
	Report(nil).Send(Progress{Task: "nothing listens"})
}
