//go:build linux

package probe

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stek-edge/stek/test/lan"
)

// TestFallbackClock: nobody has named a time server. The public ones are as good where they
// are reached, and no failure where they are not.
func TestFallbackClock(t *testing.T) {
	for _, c := range []struct {
		name    string
		outcome Outcome
		fault   Fault
		saw     string
		build   func(t *testing.T, s *site)
	}{
		{"right", Passed, "", "by time.example.org this clock is", func(*testing.T, *site) {}},
		{"the second one answers", Passed, "", "by time.example.org this clock is", func(_ *testing.T, s *site) {
			s.want.FallbackTimeServers = []string{"tiem.example.org", "time.example.org"}
		}},
		{"two hours behind", Failed, FaultClockOff, "2h0m0s behind", func(_ *testing.T, s *site) {
			s.env.Now = func() time.Time { return time.Now().Add(-2 * time.Hour) }
		}},
		{"out of reach", Skipped, "", "out of reach: 203.0.113.99", func(_ *testing.T, s *site) {
			s.want.FallbackTimeServers = []string{"203.0.113.98", "203.0.113.99"}
		}},
		{"a name that nobody knows", Skipped, "", "out of reach: tiem.example.org", func(_ *testing.T, s *site) {
			s.want.FallbackTimeServers = []string{"tiem.example.org"}
		}},
		{"no name server", Skipped, "", "names cannot be looked up", func(_ *testing.T, s *site) { s.want.Links[0].DNS = nil }},
		{"DHCP names another", Passed, "", "by " + timeAt, func(t *testing.T, s *site) {
			s.dynamic()
			s.card.DHCP(t, lan.DHCP{Server: "192.168.7.1", Lease: "192.168.7.20/24", Router: "192.168.7.1", DNS: dnsAt, NTP: timeAt})
			s.want.FallbackTimeServers = []string{"203.0.113.99"}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			s.fixed(t)
			s.want.TimeServers, s.want.FallbackTimeServers, s.want.Services = nil, []string{"time.example.org"}, nil
			c.build(t, s)
			report := Run(t.Context(), s.want, s.env)
			i := slices.IndexFunc(report.Verdicts, func(v Verdict) bool { return v.Stage == Clock })
			v := report.Verdicts[i]
			if v.Outcome != c.outcome || v.Fault != c.fault || !strings.Contains(v.Saw, c.saw) || (v.Do == "") != (c.outcome == Passed) {
				t.Errorf("got %+v", v)
			}
			if other, failed := report.Failed(); failed != (c.outcome == Failed) {
				t.Errorf("%s failed: %s", other.Stage, other.Saw)
			}
		})
	}
}
