//go:build linux

package probe

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

// proxyError is what a proxy answered to CONNECT.
type proxyError struct {
	status int
	wants  string // schemes of Proxy-Authenticate
}

func (e *proxyError) Error() string { return fmt.Sprintf("the proxy answers %d", e.status) }

// proxy asks the proxy for the first service that is reached through it, and
// without one for an address that does not exist: a proxy that wants a login says
// so before it tries.
func (p *prober) proxy(ctx context.Context) {
	began := time.Now()
	if p.want.Proxy == nil {
		p.add(ProxyStage, "", began, skipped("no proxy is configured"))
		return
	}
	to := netip.AddrPortFrom(beyond, 443).String()
	known := false
	for _, s := range p.want.Services {
		if !s.Direct {
			to, known = hostPort(s.URL), true
			break
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 4*p.Answer)
	defer cancel()
	host := p.want.Proxy.URL.Host
	conn, err := p.dialProxy(ctx)
	if err != nil {
		fault := FaultProxyUnreachable
		var bad *tls.CertificateVerificationError
		if errors.As(err, &bad) {
			fault = FaultProxyTLS
		}
		p.add(ProxyStage, "", began, failed(fault, fmt.Sprintf("%s cannot be reached: %v", host, err)))
		return
	}
	defer conn.Close()
	p.add(ProxyStage, "", began, judgeProxy(host, to, known, connect(ctx, conn, p.want.Proxy.URL, to)))
}

func judgeProxy(host, to string, known bool, err error) finding {
	var answer *proxyError
	switch {
	case err == nil:
		return passed(fmt.Sprintf("%s connects to %s", host, to))
	case !errors.As(err, &answer):
		return failed(FaultProxyUnreachable, fmt.Sprintf("%s does not answer as a proxy does: %v", host, err))
	case answer.status == http.StatusProxyAuthRequired:
		return failed(FaultProxyLogin, fmt.Sprintf("%s wants a login (%s)", host, answer.wants))
	case answer.status == http.StatusForbidden && known, answer.status == http.StatusMethodNotAllowed:
		return failed(FaultProxyRefuses, fmt.Sprintf("%s does not let this box reach %s (%d)", host, to, answer.status))
	}
	return passed(fmt.Sprintf("%s answers (%d for %s)", host, answer.status, to))
}

// dialProxy opens a connection to the proxy itself.
func (p *prober) dialProxy(ctx context.Context) (net.Conn, error) {
	u := p.want.Proxy.URL
	conn, err := p.dial(ctx, hostPort(u))
	if err != nil || u.Scheme != "https" {
		return conn, err
	}
	secure := tls.Client(conn, &tls.Config{ServerName: u.Hostname(), RootCAs: p.want.Proxy.Roots, Time: p.Now, MinVersion: tls.VersionTLS12})
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}

// connect asks a proxy for a connection (RFC 9110, section 9.3.6).
func connect(ctx context.Context, conn net.Conn, proxy *url.URL, to string) error {
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	request := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: to}, Host: to, Header: http.Header{}}
	if u := proxy.User; u != nil {
		password, _ := u.Password()
		request.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password)))
	}
	if err := request.Write(conn); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), request)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return &proxyError{status: resp.StatusCode, wants: resp.Header.Get("Proxy-Authenticate")}
	}
	return nil
}

// dial connects to host:port with the names that the links' name servers know.
func (p *prober) dial(ctx context.Context, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	found, err := p.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: 3 * p.Answer}
	var conn net.Conn
	for _, a := range found {
		if conn, err = dialer.DialContext(ctx, "tcp", net.JoinHostPort(a.String(), port)); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// hostPort fills in the port of a URL's scheme.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}
