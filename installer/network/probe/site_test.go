//go:build linux

package probe

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/stek-edge/stek/test/authority"
	"github.com/stek-edge/stek/test/lan"
)

func TestMain(m *testing.M) { lan.Main(m) }

// site is a network in which nothing is wrong: a router that gives addresses, knows
// names and the time, and a hub behind it. The hub's TLS service is at hubAt.
type site struct {
	*lan.Site
	card  *lan.Card
	names *lan.NameServer
	want  Want
	env   Env
	ca    *authority.Authority
}

const (
	hubAt  = "203.0.113.10" // TEST-NET-3: beyond the router
	timeAt = "203.0.113.11"
	dnsAt  = "203.0.113.12"
)

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{Site: lan.New(t), ca: authority.New(t)}
	s.card = s.Cable(t, "eth0", "192.168.7.1/24")
	for _, a := range []string{hubAt, timeAt, dnsAt} {
		s.card.Host(t, a+"/32")
	}
	s.names = s.DNS(t, dnsAt, lan.Names{"hub.example.org": hubAt, "time.example.org": timeAt})
	s.NTP(t, timeAt, 0)
	s.want = Want{
		Links: []Link{{
			Name: "uplink", Interface: "eth0", Addresses: []netip.Prefix{netip.MustParsePrefix("192.168.7.20/24")},
			Gateway: netip.MustParseAddr("192.168.7.1"), DNS: []netip.Addr{netip.MustParseAddr(dnsAt)},
		}},
		TimeServers: []string{"time.example.org"},
		Services:    []Service{{Name: "hub", URL: mustURL(t, "https://hub.example.org"), Roots: s.ca.Pool()}},
	}
	s.env = Host()
	s.env.Resolv = filepath.Join(t.TempDir(), "resolv.conf")
	s.env.Carrier, s.env.Flapping, s.env.Address, s.env.Offers = time.Second, 15*time.Second, 2*time.Second, time.Second
	s.env.Answer, s.env.Tries, s.env.Handshake = 300*time.Millisecond, 3, 4*time.Second
	return s
}

// fixed gives the box its address.
func (s *site) fixed(t *testing.T) { s.card.Address(t, "192.168.7.20/24", "192.168.7.1") }

// dynamic lets the box ask for its address.
func (s *site) dynamic() {
	l := &s.want.Links[0]
	l.DHCP, l.Addresses, l.Gateway, l.DNS = true, nil, netip.Addr{}, nil
}

// hub starts the hub with a certificate.
func (s *site) hub(t *testing.T, cert tls.Certificate, handler http.HandlerFunc) {
	t.Helper()
	l := tls.NewListener(s.Listen(t, hubAt+":443"), &tls.Config{Certificates: []tls.Certificate{cert}})
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
}

func (s *site) goodHub(t *testing.T) {
	t.Helper()
	s.hub(t, issue(t, s.ca, "hub.example.org", time.Now().Add(-time.Hour), time.Now().Add(time.Hour)), answer(http.StatusOK))
}

func answer(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

// issue makes a certificate of a server, by its name.
func issue(t *testing.T, ca *authority.Authority, name string, from, until time.Time) tls.Certificate {
	t.Helper()
	return ca.Issue(t, func(c *x509.Certificate) { c.DNSNames, c.NotBefore, c.NotAfter = []string{name}, from, until })
}

func mustURL(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
