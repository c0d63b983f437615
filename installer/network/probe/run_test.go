//go:build linux

package probe

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stek-edge/stek/test/authority"
	"github.com/stek-edge/stek/test/lan"
)

// TestStages breaks one thing of a site at a time. The verdict that a person sees
// first must name the stage and the fault; "" is a site where nothing is wrong.
func TestStages(t *testing.T) {
	for _, c := range []struct {
		name  string
		stage Stage
		fault Fault
		saw   string // part of what the verdict saw
		build func(t *testing.T, s *site)
	}{
		{"nothing is wrong", "", "", "", func(t *testing.T, s *site) { s.fixed(t); s.goodHub(t) }},
		{"nothing is wrong, by DHCP", "", "", "", func(t *testing.T, s *site) {
			s.dynamic()
			s.card.DHCP(t, lan.DHCP{Server: "192.168.7.1", Lease: "192.168.7.50/24", Router: "192.168.7.1", DNS: dnsAt, NTP: timeAt})
			s.want.TimeServers = nil
			if !s.card.Ask(t) {
				t.Fatal("no lease")
			}
			s.goodHub(t)
		}},
		{"no such card", Carrier, FaultNoCard, "no network card eth7", func(t *testing.T, s *site) { s.want.Links[0].Interface = "eth7" }},
		{"no cable", Carrier, FaultNoCarrier, "no carrier on eth0", func(t *testing.T, s *site) { s.card.Unplug(t) }},
		{"a link that flaps", Carrier, FaultFlapping, "lost its carrier", func(t *testing.T, s *site) {
			s.fixed(t)
			for range 3 {
				s.card.Unplug(t)
				s.card.Plug(t)
			}
			var flaps sync.WaitGroup
			flaps.Go(func() {
				for range 3 {
					time.Sleep(time.Second)
					s.card.Unplug(t)
					time.Sleep(100 * time.Millisecond)
					s.card.Plug(t)
				}
			})
			t.Cleanup(flaps.Wait)
		}},
		{"the fixed address is not set", Address, FaultNoAddress, "192.168.7.20/24", func(t *testing.T, s *site) {}},
		{"DHCP server silent", Address, FaultDHCPSilent, "no DHCP server answers", func(t *testing.T, s *site) { s.dynamic() }},
		{"DHCP server gives no lease", Address, FaultDHCPNone, "192.168.7.1 offers", func(t *testing.T, s *site) {
			s.dynamic()
			s.card.DHCP(t, lan.DHCP{Server: "192.168.7.1", Lease: "192.168.7.50/24", Router: "192.168.7.1", OffersOnly: true})
		}},
		{"two DHCP servers that contradict", Address, FaultDHCPTwo, "192.168.7.50/24 with gateway 192.168.7.1", func(t *testing.T, s *site) {
			s.dynamic()
			s.card.Join(t, lan.DHCP{Server: "192.168.8.1", Lease: "192.168.8.50/24", Router: "192.168.8.1"})
			s.card.DHCP(t, lan.DHCP{Server: "192.168.7.1", Lease: "192.168.7.50/24", Router: "192.168.7.1"})
			s.card.Address(t, "192.168.7.50/24", "192.168.7.1")
		}},
		{"duplicate address", Duplicate, FaultDuplicate, "192.168.7.20 is also used by the device", func(t *testing.T, s *site) {
			s.card.Host(t, "192.168.7.20/24")
			s.fixed(t)
		}},
		{"wrong gateway", Gateway, FaultGatewaySilent, "nobody answers at the gateway's address 192.168.7.99", func(t *testing.T, s *site) {
			s.card.Address(t, "192.168.7.20/24", "192.168.7.99")
			s.want.Links[0].Gateway = netip.MustParseAddr("192.168.7.99")
		}},
		{"gateway is no router", Gateway, FaultGatewayForward, "192.168.7.1", func(t *testing.T, s *site) {
			s.fixed(t)
			s.Forward(t, false)
			for _, a := range []string{hubAt, timeAt, dnsAt} {
				s.Command(t, "ip", "address", "delete", a+"/32", "dev", "to-eth0")
			}
		}},
		{"no name server", DNS, FaultNoDNS, "time.example.org is needed", func(t *testing.T, s *site) {
			s.fixed(t)
			s.want.Links[0].DNS = nil
			s.want.Services = nil
		}},
		{"DNS that times out", DNS, FaultDNSSilent, dnsAt + " does not answer", func(t *testing.T, s *site) { s.fixed(t); s.names.Silent.Store(true) }},
		{"DNS that lies", DNS, FaultDNSLies, "192.168.7.1 for a name that cannot exist", func(t *testing.T, s *site) {
			s.fixed(t)
			lie := netip.MustParseAddr("192.168.7.1")
			s.names.Lie.Store(&lie)
		}},
		{"DNS that refuses", DNS, FaultDNSRefuses, "REFUSED", func(t *testing.T, s *site) { s.fixed(t); s.names.Code.Store(5) }},
		{"a name that nobody knows", DNS, FaultDNSUnknown, "tiem.example.org", func(t *testing.T, s *site) {
			s.fixed(t)
			s.want.TimeServers = []string{"tiem.example.org"}
		}},
		{"captive portal", Portal, FaultPortal, "redirected to login.example.org", func(t *testing.T, s *site) {
			s.fixed(t)
			s.HTTP(t, "192.168.7.1:8080", http.RedirectHandler("http://login.example.org/", http.StatusFound))
			s.Command(t, "iptables", "-w", "-t", "nat", "-A", "PREROUTING", "-i", "to-eth0", "-p", "tcp", "--dport", "80", "-j", "REDIRECT", "--to-ports", "8080")
			s.goodHub(t)
		}},
		{"captive portal that DHCP tells of", Portal, FaultPortal, "192.168.7.1 tells of a portal", func(t *testing.T, s *site) {
			s.dynamic()
			s.card.DHCP(t, lan.DHCP{Server: "192.168.7.1", Lease: "192.168.7.50/24", Router: "192.168.7.1", DNS: dnsAt, Portal: "https://login.example.org"})
			s.card.Ask(t)
			s.goodHub(t)
		}},
		{"time server silent", Clock, FaultTimeSilent, "203.0.113.99", func(t *testing.T, s *site) {
			s.fixed(t)
			s.goodHub(t)
			s.want.TimeServers = []string{"203.0.113.99"}
		}},
		{"clock two hours behind", Clock, FaultClockOff, "2h0m0s behind", func(t *testing.T, s *site) {
			s.fixed(t)
			s.env.Now = func() time.Time { return time.Now().Add(-2 * time.Hour) }
			s.want.Services = nil
		}},
		{"proxy that needs a login", ProxyStage, FaultProxyLogin, `Basic realm="site"`, func(t *testing.T, s *site) {
			s.fixed(t)
			s.goodHub(t)
			s.Proxy(t, "192.168.7.1:3128", "box:right")
			s.want.Proxy = &Proxy{URL: mustURL(t, "http://box:wrong@192.168.7.1:3128")}
		}},
		{"proxy with the right login", "", "", "", func(t *testing.T, s *site) {
			s.fixed(t)
			s.goodHub(t)
			s.Proxy(t, "192.168.7.1:3128", "box:right")
			s.want.Proxy = &Proxy{URL: mustURL(t, "http://box:right@192.168.7.1:3128")}
			s.want.Services[0].URL = mustURL(t, "https://"+hubAt) // the proxy has no name server
			s.want.Services[0].Roots = nil
			s.want.Services = nil
		}},
		{"proxy that is not there", ProxyStage, FaultProxyUnreachable, "192.168.7.1:3129", func(t *testing.T, s *site) {
			s.fixed(t)
			s.want.Services = nil
			s.want.Proxy = &Proxy{URL: mustURL(t, "http://192.168.7.1:3129")}
		}},
		{"a hole for large packets", MTU, FaultBlackHole, "up to 1400 bytes", func(t *testing.T, s *site) {
			s.fixed(t)
			s.card.Hole(t, 1400)
			s.want.Services = nil
		}},
		{"the hub refuses", Reach, FaultServiceRefuses, "refuses", func(t *testing.T, s *site) { s.fixed(t) }},
		{"the hub's certificate has expired", Reach, FaultCertExpired, "expired on", func(t *testing.T, s *site) {
			s.fixed(t)
			s.hub(t, issue(t, s.ca, "hub.example.org", time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)), answer(http.StatusOK))
		}},
		{"the hub's certificate is another's", Reach, FaultCertUnknown, "the office", func(t *testing.T, s *site) {
			s.fixed(t)
			s.hub(t, issue(t, authority.New(t), "hub.example.org", time.Now().Add(-time.Hour), time.Now().Add(time.Hour)), answer(http.StatusOK))
		}},
		{"the hub's certificate is for another name", Reach, FaultCertOtherName, "another name", func(t *testing.T, s *site) {
			s.fixed(t)
			s.hub(t, issue(t, s.ca, "other.example.org", time.Now().Add(-time.Hour), time.Now().Add(time.Hour)), answer(http.StatusOK))
		}},
		{"a clock in 1970", Reach, FaultCertNotYet, "1970-01-01", func(t *testing.T, s *site) {
			s.fixed(t)
			s.goodHub(t)
			s.want.TimeServers = nil
			s.env.Now = func() time.Time { return time.Unix(3600, 0) }
		}},
		{"the hub is ill", Reach, FaultServiceError, "503", func(t *testing.T, s *site) {
			s.fixed(t)
			s.hub(t, issue(t, s.ca, "hub.example.org", time.Now().Add(-time.Hour), time.Now().Add(time.Hour)), answer(http.StatusServiceUnavailable))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			c.build(t, s)
			report := Run(t.Context(), s.want, s.env)
			text, err := json.MarshalIndent(report, "", " ")
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(text), "wrong@") || strings.Contains(string(text), "right@") {
				t.Errorf("the proxy's password is in the report")
			}
			v, failed := report.Failed()
			switch {
			case !failed && c.stage != "":
				t.Errorf("nothing failed, want %s\n%s", c.stage, text)
			case failed && (v.Stage != c.stage || v.Fault != c.fault || !strings.Contains(v.Saw, c.saw)):
				t.Errorf("%s failed with %s (%q), want %s with %s (%q)\n%s", v.Stage, v.Fault, v.Saw, c.stage, c.fault, c.saw, text)
			case failed && v.Do == "":
				t.Errorf("nothing is said to do")
			}
		})
	}
}

// TestSlow: 64 kbit/s and three packets of a hundred lost is slow and not broken.
func TestSlow(t *testing.T) {
	s := newSite(t)
	s.fixed(t)
	s.goodHub(t)
	s.env.Answer, s.env.Tries = Host().Answer, Host().Tries
	s.card.Slow(t, 64000, 33)
	report := Run(t.Context(), s.want, s.env)
	if v, failed := report.Failed(); failed {
		t.Errorf("%s: %s", v.Stage, v.Saw)
	}
	for _, v := range report.Verdicts {
		t.Logf("%-18s %-8s %6d ms  %s", v.Stage, v.Outcome, v.Took.Milliseconds(), v.Saw)
	}
}

// TestOffline: not one packet leaves.
func TestOffline(t *testing.T) {
	s := newSite(t)
	s.fixed(t)
	s.want.Offline = true
	before := s.card.Sent(t)
	report := Run(t.Context(), s.want, s.env)
	if _, failed := report.Failed(); failed || len(report.Verdicts) != 12 {
		t.Errorf("got %+v", report)
	}
	for _, v := range report.Verdicts {
		if v.Outcome != Skipped {
			t.Errorf("%s was not skipped", v.Stage)
		}
	}
	if sent := s.card.Sent(t) - before; sent != 0 || s.names.Asked() != 0 {
		t.Errorf("%d packets were sent", sent)
	}
}

// TestSharedCard: what a second link of the same card finds leaves alone what the first one
// has learnt.
func TestSharedCard(t *testing.T) {
	s := newSite(t)
	s.dynamic()
	s.card.DHCP(t, lan.DHCP{Server: "192.168.7.1", Lease: "192.168.7.50/24", Router: "192.168.7.1", DNS: dnsAt})
	if !s.card.Ask(t) {
		t.Fatal("no lease")
	}
	s.want.Services = nil
	s.want.Links = append(s.want.Links, Link{Name: "spare", Interface: "eth0", Addresses: []netip.Prefix{netip.MustParsePrefix("192.168.9.20/24")}})
	for _, v := range Run(t.Context(), s.want, s.env).Verdicts {
		if v.Stage == DNS && v.Outcome != Passed {
			t.Errorf("the name server of the first link is forgotten: %s", v.Saw)
		}
	}
}

// TestInOrder: what ends a link's stages is said of each that is left.
func TestInOrder(t *testing.T) {
	for _, c := range []struct {
		name string
		ends finding
		want string
	}{
		{"a stage fails", failed(FaultWrongKey, "no"), "the stage association failed"},
		{"the link stands by", standsBy("Kas 8"), `stands by: "Kas 8" is joined`},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &prober{}
			p.inOrder("hall", []linkStage{
				{Carrier, func() finding { return passed("there") }},
				{Association, func() finding { return c.ends }},
				{Address, func() finding { t.Error("it goes on"); return passed("") }},
				{Gateway, func() finding { t.Error("it goes on"); return passed("") }},
			})
			for _, v := range p.report.Verdicts[2:] {
				if v.Outcome != Skipped || v.Saw != c.want || v.Of != "hall" {
					t.Errorf("got %+v", v)
				}
			}
			if len(p.report.Verdicts) != 4 {
				t.Errorf("got %+v", p.report)
			}
			if p.report.Carried() {
				t.Error("nothing carries the box, and the report says so")
			}
		})
	}
}

// TestStandby: a spare network whose radio has joined another one is no fault, and carries
// nothing by itself.
func TestStandby(t *testing.T) {
	spare := []Verdict{{Stage: Carrier, Of: "spare", Outcome: Passed}, {Stage: Association, Of: "spare", Outcome: Skipped}, {Stage: Address, Of: "spare", Outcome: Skipped}}
	hall := []Verdict{{Stage: Carrier, Of: "hall", Outcome: Passed}, {Stage: Association, Of: "hall", Outcome: Passed}, {Stage: Address, Of: "hall", Outcome: Passed}, {Stage: Gateway, Of: "hall", Outcome: Skipped}}
	if r := (Report{slices.Concat(hall, spare)}); !r.Carried() {
		t.Errorf("the box is carried by %v", r.good())
	} else if v, failed := r.Failed(); failed {
		t.Errorf("%+v failed", v)
	}
	broken := slices.Clone(hall)
	broken[2].Outcome, broken[2].Fault = Failed, FaultDHCPSilent
	r := Report{slices.Concat(broken, spare)}
	if r.Carried() || len(r.Local()) != 1 {
		t.Errorf("the network that is joined does not work: carried by %v, %+v", r.good(), r.Local())
	}
}

// TestListensNoLonger: a test that ends early leaves no socket behind.
func TestListensNoLonger(t *testing.T) {
	s := newSite(t)
	s.card.Unplug(t)
	open := func() int {
		t.Helper()
		files, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(files)
	}
	before := open()
	Run(t.Context(), s.want, s.env)
	if !wait(t.Context(), 5*time.Second, func() bool { return open() <= before }) {
		t.Errorf("%d files were open before the test, and %d are after it", before, open())
	}
}

// TestSecondLink: the preferred link is broken, the other one carries the box.
func TestSecondLink(t *testing.T) {
	s := newSite(t)
	other := s.Cable(t, "eth1")
	other.Unplug(t)
	s.fixed(t)
	s.goodHub(t)
	s.want.Links = append([]Link{{Name: "fibre", Interface: "eth1", DHCP: true}}, s.want.Links...)
	report := Run(t.Context(), s.want, s.env)
	v, failed := report.Failed()
	if !failed || v.Of != "fibre" || v.Fault != FaultNoCarrier {
		t.Errorf("got %+v", v)
	}
	if local := report.Local(); len(local) != 0 {
		t.Errorf("the box is carried, and %+v counts against it", local)
	}
}
