package fetch

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Request is what is asked for.
type Request struct {
	URL    string         // https
	Limit  int64          // bytes that the file may have
	SHA256 []byte         // of the file; empty: not known, and whoever asks checks a signature
	Roots  *x509.CertPool // who may vouch for the server
	Proxy  *url.URL       // nil: none
	Now    func() time.Time
	// Stall is how long a connection may say nothing; Pause how long to wait before
	// another. 20 and 2 seconds by themselves.
	Stall, Pause time.Duration
}

// Result is a whole file.
type Result struct {
	Data  []byte
	Tries int       // connections that it took
	Since time.Time // when the newest certificate of the server begins
}

// Error is why there is no file, for a person.
type Error struct {
	Message, Remedy string
	Cause           error
	final           bool // trying again is of no use
}

func (e *Error) Error() string { return e.Message }
func (e *Error) Unwrap() error { return e.Cause }

// certificateTries is how often a certificate that is not right is looked at again: what
// is in between, such as a login page of the site, or a time service, may need a moment.
const certificateTries = 3

// Get gets a file. The error is an *Error.
func Get(ctx context.Context, r Request) (*Result, error) {
	if r.Now == nil {
		r.Now = time.Now
	}
	if r.Stall == 0 {
		r.Stall, r.Pause = 20*time.Second, 2*time.Second
	}
	u, err := url.Parse(r.URL)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" {
		return nil, &Error{Message: "the address of the file does not begin with https:// and a host", Remedy: "correct it"}
	}
	d := &download{Request: r, host: u.Hostname(), result: &Result{}}
	defer d.close()
	d.client = d.newClient()
	wrong := 0 // certificates that were not right
	for {
		d.result.Tries++
		err := d.try(ctx)
		if err == nil {
			return d.result, nil
		}
		if err.certificate() {
			wrong++
		}
		if err.final || wrong >= certificateTries {
			return nil, err
		}
		select {
		case <-ctx.Done():
			err.Message = fmt.Sprintf("the time is over after %d tries; the last ended so: %s", d.result.Tries, err.Message)
			return nil, err
		case <-time.After(r.Pause):
		}
	}
}

// download is a file on its way.
type download struct {
	Request
	host    string
	client  *http.Client
	result  *Result
	partial []byte
	tag     string // names the state of the file that partial is of (RFC 9110, 8.8.3)
	mixed   bool   // partial came over several connections
}

func (d *download) newClient() *http.Client {
	transport := &http.Transport{
		DisableCompression: true, // the digest is of the file as it lies there
		DisableKeepAlives:  true,
		TLSClientConfig: &tls.Config{
			MinVersion: tls.VersionTLS12,
			// Only the library's own check is replaced, by the same one at another time.
			InsecureSkipVerify: true,
			VerifyConnection:   d.verify,
		},
		TLSHandshakeTimeout:   d.Stall,
		ResponseHeaderTimeout: d.Stall,
	}
	if d.Proxy != nil {
		transport.Proxy = http.ProxyURL(d.Proxy)
	}
	return &http.Client{Transport: transport, CheckRedirect: func(to *http.Request, via []*http.Request) error {
		if len(via) > 5 || to.URL.Scheme != "https" || to.URL.Host != via[0].URL.Host {
			return errElsewhere
		}
		return nil
	}}
}

var errElsewhere = errors.New("the server sends to another place")

func (d *download) close() { d.client.CloseIdleConnections() }

// verify checks the server's certificate, at a time that is not before its beginning.
func (d *download) verify(c tls.ConnectionState) error {
	at := d.Now()
	between := x509.NewCertPool()
	var since time.Time
	for i, cert := range c.PeerCertificates {
		if i > 0 {
			between.AddCert(cert)
		}
		if cert.NotBefore.After(since) {
			since = cert.NotBefore
		}
	}
	if since.After(at) {
		at = since
	}
	// An address is not among the names that TLS tells (RFC 6066, section 3), and must be
	// in the certificate all the same.
	name := c.ServerName
	if name == "" {
		name = d.host
	}
	_, err := c.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: d.Roots, Intermediates: between, DNSName: name, CurrentTime: at})
	if err != nil {
		return &badCertificate{err}
	}
	d.result.Since = since
	return nil
}

type badCertificate struct{ err error }

func (b *badCertificate) Error() string { return b.err.Error() }
func (b *badCertificate) Unwrap() error { return b.err }

func (e *Error) certificate() bool {
	var bad *badCertificate
	return errors.As(e.Cause, &bad)
}

// try is one connection. It goes on where the one before was cut.
func (d *download) try(ctx context.Context) *Error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.URL, nil)
	if err != nil {
		return &Error{Message: "the address of the file is none", Remedy: "correct it", Cause: err, final: true}
	}
	if len(d.partial) > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", len(d.partial)))
		if d.tag != "" {
			req.Header.Set("If-Range", d.tag)
		}
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return d.noAnswer(err)
	}
	defer resp.Body.Close()
	if refused := d.begin(resp); refused != nil {
		return refused
	}
	if refused := d.read(ctx, resp.Body, cancel); refused != nil {
		return refused
	}
	return d.check()
}

// noAnswer says why a server gave no answer.
func (d *download) noAnswer(err error) *Error {
	out := &Error{Message: "the server does not answer: " + plain(err), Cause: err,
		Remedy: "check the cable and the address; stek network test tells which stage fails"}
	var expired x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	switch {
	case errors.Is(err, errElsewhere):
		out.Message, out.Remedy, out.final = "the server sends to another host", "write the address of the file itself", true
	case errors.As(err, &expired) && expired.Reason == x509.Expired:
		out.Message, out.Remedy = fmt.Sprintf("the server's certificate has expired, or this machine's clock is wrong: it says %s", d.Now().UTC().Format("2006-01-02 15:04")), "set the clock in the firmware's set-up, or renew the certificate"
	case errors.As(err, &unknown):
		out.Message, out.Remedy = "the server's certificate is from an authority that is not trusted here", "give the authority's certificate as ca; where a proxy opens connections, give the proxy's"
	case errors.As(err, &name):
		out.Message, out.Remedy = "the server's certificate is for another name", "use a name that the certificate has"
	case out.certificate():
		out.Message, out.Remedy = "the server's certificate is not right: "+plain(err), "renew it"
	}
	return out
}

// begin looks at an answer, and at where in the file it goes on.
func (d *download) begin(resp *http.Response) *Error {
	switch code := resp.StatusCode; {
	case code == http.StatusOK:
		d.partial, d.mixed = nil, false
	case code == http.StatusPartialContent && len(d.partial) > 0:
		var from int64
		if _, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-", &from); err != nil || from != int64(len(d.partial)) {
			d.partial = nil
			return &Error{Message: "the server goes on in another place of the file than it was asked to"}
		}
		d.mixed = true
	case code == http.StatusRequestedRangeNotSatisfiable && len(d.partial) > 0:
		d.partial = nil // the file is another one by now
		return &Error{Message: "the file on the server has changed on the way"}
	case code == http.StatusRequestTimeout, code == http.StatusTooManyRequests, code >= 500:
		return &Error{Message: "the server answers " + resp.Status, Remedy: "try again later"}
	default:
		return &Error{Message: "the server answers " + resp.Status, Remedy: "check the address, and who may read the file", final: true}
	}
	if resp.ContentLength > d.Limit-int64(len(d.partial)) {
		return d.tooLarge()
	}
	d.tag = resp.Header.Get("ETag")
	if strings.HasPrefix(d.tag, "W/") { // a weak one does not fit If-Range (RFC 9110, 13.1.5)
		d.tag = ""
	}
	return nil
}

func (d *download) tooLarge() *Error {
	return &Error{Message: "the file has more than " + strconv.FormatInt(d.Limit, 10) + " bytes", Remedy: "is this the right address?", final: true}
}

// read reads the rest of the file. A connection that says nothing is cut: its end is then
// not that of the file, even where the server still said so, having seen us go.
func (d *download) read(ctx context.Context, body io.Reader, cut context.CancelCauseFunc) *Error {
	stalled := time.AfterFunc(d.Stall, func() { cut(errors.New("it says nothing any more")) })
	defer stalled.Stop()
	buffer := make([]byte, 16<<10)
	for {
		n, err := body.Read(buffer)
		if n > 0 {
			stalled.Reset(d.Stall)
			d.partial = append(d.partial, buffer[:n]...)
		}
		if err == io.EOF && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		switch {
		case int64(len(d.partial)) > d.Limit:
			return d.tooLarge()
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return &Error{Message: fmt.Sprintf("the connection was cut after %d bytes: %s", len(d.partial), plain(err)), Remedy: "check the cable", Cause: err}
		}
	}
}

// check looks at the whole file. One that came in parts of different files is asked for
// once more.
func (d *download) check() *Error {
	if len(d.partial) == 0 {
		return &Error{Message: "the file is empty", Remedy: "put it on the server again", final: true}
	}
	if sum := sha256.Sum256(d.partial); len(d.SHA256) > 0 && string(sum[:]) != string(d.SHA256) {
		again := d.mixed
		d.partial = nil
		return &Error{Message: "the file is another one than was meant: its SHA-256 is " + hex.EncodeToString(sum[:]),
			Remedy: "if the file was changed on purpose, write the new digest", final: !again}
	}
	d.result.Data = d.partial
	return nil
}

// plain is an error without the address, which stands beside it.
func plain(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return err.Error()
}
