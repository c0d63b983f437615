package installer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stek-edge/stek/installer/network"
	"github.com/stek-edge/stek/test/golden"
	"github.com/stek-edge/stek/test/machines"
)

const tunnelled = smallest + `network:
  vpn:
    wireguard:
      address: 10.77.0.7/32
      private-key: "aKTqJgzqwUvBHmC6tcMpJYWHU6GGL6MLnBo8Nw1Ci1g="
      listen-port: 51820
      peers:
        - {public-key: "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=", preshared-key: "/UwcSPg38hW/D9Y3tcS1FOV0K1wuURMbS0sesJEP5ak=", endpoint: "vpn.example.org:51820", allowed-ips: [10.77.0.0/16, "fd00:77::/48"]}
        - {public-key: "d3q5mYv3m1kFfwG0mQ3m2yqL0yXkq0mYbq6kq5m1kXo=", allowed-ips: [10.78.0.0/16]}
`

// TestPlanTunnel: the plan names the tunnel and its other ends, and none of the secrets.
func TestPlanTunnel(t *testing.T) {
	for _, tt := range []struct{ name, text string }{
		{"given", tunnelled},
		{"made", strings.Replace(tunnelled, `"aKTqJgzqwUvBHmC6tcMpJYWHU6GGL6MLnBo8Nw1Ci1g="`, "generate", 1)},
		{"secrets-file", smallest + "network: {vpn: {config: \"secret:wg0\"}}\nsecrets: {file: site.age}\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			plan, err := Make(answers(t, tt.text), machines.Load(t, "mini-pc"), image(), testIDs())
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			plan.Tunnel.write(func(name, format string, args ...any) {
				fmt.Fprintf(&b, "%-10s %s\n", name, fmt.Sprintf(format, args...))
			})
			golden.Check(t, "plan-tunnel-"+tt.name+".txt", b.Bytes())
			all, err := json.Marshal(plan)
			if err != nil {
				t.Fatal(err)
			}
			for _, secret := range []string{"aKTqJ", "/UwcS"} {
				if bytes.Contains(all, []byte(secret)) {
					t.Errorf("the plan holds a secret: %s", all)
				}
			}
		})
	}
}

// reader is a person at a screen who copies what is shown.
type reader struct{ shown, asked, typed string }

func (r *reader) Say(string, ...any)     {}
func (r *reader) Show(about, key string) { r.shown = key }
func (r *reader) Ask(_ context.Context, question string) ([]byte, error) {
	r.asked = question
	if r.typed == "" {
		return nil, errors.New("nobody is here")
	}
	return []byte(r.typed), nil
}

// TestLeaveTunnelKey: the public half, and only that, is shown, noted and left on the
// stick; only a person who was asked is waited for.
func TestLeaveTunnelKey(t *testing.T) {
	a := answers(t, tunnelled)
	private, err := network.KeyOf(*a.Network.VPN.WireGuard)
	if err != nil {
		t.Fatal(err)
	}
	public, err := network.PublicKey(private)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := Make(a, machines.Load(t, "mini-pc"), image(), testIDs())
	if err != nil {
		t.Fatal(err)
	}
	for _, attended := range []bool{false, true} {
		t.Run(fmt.Sprintf("attended %v", attended), func(t *testing.T) {
			person := &reader{}
			if attended {
				person.typed = "\n"
			}
			stick := t.TempDir()
			folder := filepath.Join(stick, ReportsPath, FileName(plan.Box.Serial))
			if err := os.MkdirAll(folder, 0o755); err != nil {
				t.Fatal(err)
			}
			var events []string
			r := &run{plan: plan, site: &Site{Answers: a, StickESP: stick, Person: person, Attended: attended, Now: clock()},
				emit: func(e Event) { events = append(events, e.Message) }}
			if err := r.makeTunnelKey(); err != nil {
				t.Fatal(err)
			}
			if err := leaveTunnelKey(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			left, err := os.ReadFile(filepath.Join(folder, TunnelKeyFile))
			if err != nil || string(left) != public+"\n" {
				t.Errorf("on the stick is %q, %v", left, err)
			}
			if person.shown != public || (person.asked != "") != attended {
				t.Errorf("shown %q, asked %q", person.shown, person.asked)
			}
			if said := strings.Join(events, "\n"); !strings.Contains(said, public) || strings.Contains(said, private.Reveal()) {
				t.Errorf("the events are %q", said)
			}
		})
	}
	none := &run{plan: plan, site: &Site{Answers: answers(t, smallest)}}
	if err := errors.Join(none.makeTunnelKey(), leaveTunnelKey(t.Context(), none)); err != nil || none.keys.tunnel != "" {
		t.Errorf("a box without a tunnel: %v", err)
	}
}
