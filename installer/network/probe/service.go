//go:build linux

package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// services reaches what the box cannot do without, and checks its certificates.
func (p *prober) services(ctx context.Context) {
	if len(p.want.Services) == 0 {
		p.skip(Reach, "", "no hub and no cluster to join is configured")
		return
	}
	for _, s := range p.want.Services {
		began := time.Now()
		p.add(Reach, s.Name, began, p.service(ctx, s))
	}
}

func (p *prober) service(ctx context.Context, s Service) finding {
	ctx, cancel := context.WithTimeout(ctx, 6*p.Answer)
	defer cancel()
	conn, err := p.dialService(ctx, s)
	if err != nil {
		f := judgeDial(s, err)
		if f.fault == FaultUnreachable && p.awaits(ctx, s) {
			return skipped(hostPort(s.URL) + " is reached through the VPN, to which no peer has come yet")
		}
		return f
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	secure := tls.Client(conn, &tls.Config{ServerName: s.URL.Hostname(), RootCAs: s.Roots, Time: p.Now, MinVersion: tls.VersionTLS12})
	if err := secure.HandshakeContext(ctx); err != nil {
		return judgeTLS(s, err, p.Now(), p.clockOff)
	}
	return askHTTP(secure, s)
}

func (p *prober) dialService(ctx context.Context, s Service) (net.Conn, error) {
	if p.want.Proxy == nil || s.Direct {
		return p.dial(ctx, hostPort(s.URL))
	}
	conn, err := p.dialProxy(ctx)
	if err != nil {
		return nil, err
	}
	if err := connect(ctx, conn, p.want.Proxy.URL, hostPort(s.URL)); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// awaits reports whether the way to a service leads into a tunnel to which no peer has come
// yet. When one comes is not for this box to say, so nothing is known of the service.
func (p *prober) awaits(ctx context.Context, s Service) bool {
	first := s.URL
	if p.want.Proxy != nil && !s.Direct {
		first = p.want.Proxy.URL
	}
	found, err := p.lookup(ctx, first.Hostname())
	return err == nil && behind(found, p.awaited)
}

func judgeDial(s Service, err error) finding {
	at := hostPort(s.URL)
	var proxied *proxyError
	switch {
	case errors.As(err, &proxied):
		return failed(FaultProxyRefuses, fmt.Sprintf("the proxy answers %d for %s", proxied.status, at))
	case errors.Is(err, unix.ECONNREFUSED):
		return failed(FaultServiceRefuses, at+" refuses the connection")
	}
	return failed(FaultUnreachable, fmt.Sprintf("%s cannot be reached: %v", at, err))
}

// judgeTLS tells whose fault a certificate is that was not accepted. clockOff is
// added to now before a certificate is called expired: with a clock in the future
// every certificate looks old.
func judgeTLS(s Service, err error, now time.Time, clockOff time.Duration) finding {
	at := hostPort(s.URL)
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		cert := invalid.Cert
		right := now.Add(clockOff)
		switch {
		case right.Before(cert.NotBefore), now.Before(cert.NotBefore):
			return failed(FaultCertNotYet, fmt.Sprintf("the certificate of %s is valid from %s and this clock says %s", at, day(cert.NotBefore), day(now)))
		case right.Before(cert.NotAfter):
			return failed(FaultClockOff, fmt.Sprintf("the certificate of %s is valid until %s, and this clock is wrong and says %s", at, day(cert.NotAfter), day(now)))
		}
		return failed(FaultCertExpired, fmt.Sprintf("the certificate of %s expired on %s", at, day(cert.NotAfter)))
	case errors.As(err, &unknown):
		issuer := "somebody"
		if unknown.Cert != nil {
			issuer = fmt.Sprintf("%q", unknown.Cert.Issuer.CommonName)
		}
		return failed(FaultCertUnknown, fmt.Sprintf("%s shows a certificate signed by %s, whom this box does not trust", at, issuer))
	case errors.As(err, &name):
		return failed(FaultCertOtherName, fmt.Sprintf("%s shows a certificate for another name", at))
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return failed(FaultServiceNoAnswer, at+" takes the connection and says nothing")
	}
	return failed(FaultUnreachable, fmt.Sprintf("%s does not speak TLS: %v", at, err))
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") }

// askHTTP asks for the service's own page. That this box may not see it is fine.
func askHTTP(conn *tls.Conn, s Service) finding {
	at := hostPort(s.URL)
	client := http.Client{
		Transport: &http.Transport{
			DialTLSContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil },
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	resp, err := client.Get(s.URL.String())
	if err != nil {
		return failed(FaultServiceNoAnswer, at+" shows a good certificate and does not answer")
	}
	_, _ = io.CopyN(io.Discard, resp.Body, 4096)
	resp.Body.Close()
	if resp.StatusCode >= 500 {
		return failed(FaultServiceError, fmt.Sprintf("%s answers with an error (%d)", at, resp.StatusCode))
	}
	until := conn.ConnectionState().PeerCertificates[0].NotAfter
	return passed(fmt.Sprintf("%s answers; its certificate is good until %s", at, day(until)))
}
