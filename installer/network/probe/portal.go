//go:build linux

package probe

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// portal looks for somebody who answers in the place of others. A web server at an
// address that no network has is a portal, or a proxy that nobody spoke of.
func (p *prober) portal(ctx context.Context) {
	began := time.Now()
	for _, l := range p.want.Links {
		for _, o := range p.links[l.Name].offers {
			// RFC 8910 also has a URI that says that there is no portal.
			if o.Portal != "" && !strings.HasPrefix(o.Portal, "urn:") {
				p.add(Portal, "", began, failed(FaultPortal, "the DHCP server "+o.Server.String()+" tells of a portal"))
				return
			}
		}
	}
	p.add(Portal, "", began, p.knock(ctx))
}

func (p *prober) knock(ctx context.Context) finding {
	const nobody = "nobody answers in the place of others"
	ctx, cancel := context.WithTimeout(ctx, 2*p.Answer)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", netip.AddrPortFrom(beyond, 80).String())
	if err != nil {
		return passed(nobody)
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return passed(nobody)
	}
	if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", beyond); err != nil {
		return passed(nobody)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return passed("something takes connections in the place of others, and does not speak HTTP")
	}
	resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNetworkAuthenticationRequired: // RFC 6585, section 6
		return failed(FaultPortal, "the network wants a login")
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		to := "another page"
		if u, err := resp.Location(); err == nil {
			to = u.Host
		}
		return failed(FaultPortal, "web pages are redirected to "+to)
	case resp.StatusCode < 300:
		return failed(FaultPortal, "a page comes from an address that does not exist")
	}
	return passed(fmt.Sprintf("a proxy stands in the way and answers %d for what does not exist", resp.StatusCode))
}
