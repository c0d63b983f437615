//go:build linux

package network

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/network/probe"
	"github.com/stek-edge/stek/installer/node"
	"github.com/stek-edge/stek/test/authority"
)

// TestServerLost: a change that is sound in itself and no longer leads to the server that
// the node joins is taken back. One that still leads there stays, and so does one at whose
// time the server refuses everybody.
func TestServerLost(t *testing.T) {
	const at = "203.0.113.10"
	lost := strings.ReplaceAll(fixed, ", gateway: 192.168.7.1", "")
	moved := strings.ReplaceAll(fixed, "192.168.7.20/24", "192.168.7.21/24")
	for _, c := range []struct {
		name, to string
		dies     bool // with the change
		kept     bool
	}{
		{"no way to the server", lost, false, false},
		{"another address", moved, false, true},
		{"the server goes as well", moved, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, card := site(t)
			card.Host(t, at+"/32")
			ca := authority.New(t)
			cert := ca.Issue(t, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.ParseIP(at)} })
			server := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: 5 * time.Second}
			go server.Serve(tls.NewListener(s.Listen(t, at+":6443"), &tls.Config{Certificates: []tls.Certificate{cert}}))
			t.Cleanup(func() { server.Close() })

			b := newBox(t, card)
			b.install(b.config(fixed))
			if err := b.keeper.Ask(b.config(c.to), 0); err != nil {
				t.Fatal(err)
			}
			this := node.Network{
				Keeper: b.keeper, Env: b.env,
				Cards: func(context.Context) ([]hardware.NIC, error) { return b.nics, nil },
				Run: func(ctx context.Context, name string, args ...string) error {
					if c.dies {
						server.Close()
					}
					return b.systemctl(ctx, name, args...)
				},
				Services: []probe.Service{{Name: "server", URL: &url.URL{Scheme: "https", Host: at + ":6443"}, Roots: ca.Pool(), Direct: true}},
			}
			past, err := this.Try(t.Context(), nil)
			if err != nil || past.Kept != c.kept || !c.kept && !strings.Contains(past.Reason, "service: "+at) {
				t.Errorf("got %+v, %v", past, err)
			}
		})
	}
}
