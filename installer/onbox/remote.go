package onbox

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/clock"
	"github.com/stek-edge/stek/installer/fetch"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/network"
	"github.com/stek-edge/stek/installer/preseed"
)

// urlFile, on the stick's FAT partition, says where the answers are fetched from.
const urlFile = "stek/preseed.url"

const (
	fetchWithin  = 5 * time.Minute // all of it, with the wait for the network
	maxSignature = 16 << 10        // bytes
)

// elsewhere tells whether the answers are to be fetched.
func (s *stick) elsewhere() bool { return !s.missing(urlFile) }

// outOfReach tells whether answers that could not be had from a server are those of a
// machine that this stick has installed: it starts from its disk, network or not.
func (s *stick) outOfReach(inv *hardware.Inventory, err error) bool {
	made, _ := s.remembers(inv)
	return err != nil && s.elsewhere() && made.still(inv)
}

// remote fetches the answers of one machine.
type remote struct {
	path   string // of the file that says where from
	inv    *hardware.Inventory
	people installer.Person
	within time.Duration
	now    func() time.Time
	// connect puts the network in place, and returns what takes it away again.
	connect func(ctx context.Context, n preseed.Network) (disconnect func() error, err error)
	// floor sets the clock to no earlier than what is known to have been.
	floor func(certificate time.Time) error
}

func (s *stick) remote(inv *hardware.Inventory, people installer.Person) *remote {
	r := &remote{path: filepath.Join(s.esp, filepath.FromSlash(urlFile)), inv: inv, people: people, within: fetchWithin, now: time.Now}
	r.connect = func(ctx context.Context, n preseed.Network) (func() error, error) { return connect(ctx, n, inv.NICs) }
	r.floor = floor
	return r
}

// answers fetches the answers through the network that the stick names, checks that they
// are the right ones, and takes the network away: the box is then as silent as the answers
// want it. Whatever goes wrong is an error, and never a file that is half there or another.
func (r *remote) answers(ctx context.Context, keys Keys) (_ *Answers, err error) {
	text, err := readStart(r.path, preseed.MaxSize+1)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", urlFile, reason(err))
	}
	where, err := preseed.ReadRemote(urlFile, text)
	if err != nil {
		return nil, err
	}
	signers := []*preseed.PublicKey{where.Signer, keys.Signer}
	if len(where.SHA256) == 0 && where.Signer == nil && keys.Signer == nil {
		return nil, preseed.Faults{{File: urlFile, Line: 1, Column: 1, Kind: preseed.FaultMissing,
			Message: "nothing says which answers are the right ones", Remedy: "write sha256, with the digest of the file, or signed-by, with a minisign public key"}}
	}
	// Its secrets are opened as those of an answer file are, but it is not signed itself:
	// it only leads to what is checked.
	links, err := answersIn(ctx, where.Links, filepath.Dir(r.path), r.inv, Keys{Secrets: keys.Secrets}, r.people)
	if err != nil {
		return nil, err
	}
	way := links.Full.Network
	if way.Offline || way.VPN.Given() {
		return nil, &installer.Refusal{Status: installer.StatusInvalid, Message: urlFile + " asks for a network that fetches nothing: offline, or a tunnel whose other end does not know this machine yet",
			Remedy: "take network.offline and network.vpn out of it; they belong into the answers"}
	}
	get, err := r.request(where, way)
	if err != nil {
		return nil, err
	}
	if err := r.floor(time.Time{}); err != nil {
		r.people.Say("%v", err)
	}
	ctx, cancel := context.WithTimeout(ctx, r.within)
	defer cancel()
	r.people.Say("Fetching the answers from %s", where.URL)
	disconnect, err := r.connect(ctx, way)
	if err != nil {
		return nil, fmt.Errorf("putting the network of %s in place: %w", urlFile, err)
	}
	content, err := r.fetch(ctx, get, signers)
	if err := errors.Join(err, disconnect()); err != nil {
		return nil, err
	}
	file, err := preseed.Read(where.URL, content)
	if err != nil {
		return nil, err
	}
	return answersIn(ctx, file, filepath.Dir(r.path), r.inv, keys, r.people)
}

// request is what to ask the server for.
func (r *remote) request(where *preseed.Remote, way preseed.Network) (fetch.Request, error) {
	get := fetch.Request{URL: where.URL, Limit: preseed.MaxSize, SHA256: where.SHA256, Now: r.now}
	var err error
	if get.Roots, err = x509.SystemCertPool(); err != nil {
		get.Roots = x509.NewCertPool()
	}
	for _, pem := range []string{where.CA, way.Proxy.CA} {
		if pem != "" && !get.Roots.AppendCertsFromPEM([]byte(pem)) {
			return get, errors.New("a certificate in " + urlFile + " cannot be read")
		}
	}
	if !way.Proxy.IsZero() {
		get.Proxy, err = network.ProxyURL(way.Proxy)
	}
	return get, err
}

// fetch gets the file, and the signature beside it where there has to be one.
func (r *remote) fetch(ctx context.Context, get fetch.Request, signers []*preseed.PublicKey) ([]byte, error) {
	got, err := fetch.Get(ctx, get)
	if err != nil {
		return nil, refused(get.URL, err)
	}
	if err := r.floor(got.Since); err != nil {
		r.people.Say("%v", err)
	}
	var signature *fetch.Result
	for _, signer := range signers {
		if signer == nil {
			continue
		}
		if signature == nil {
			beside := get
			beside.URL, beside.SHA256, beside.Limit = besideOf(get.URL), nil, maxSignature
			if signature, err = fetch.Get(ctx, beside); err != nil {
				return nil, refused(beside.URL, err)
			}
		}
		if err := signer.Verify(get.URL, got.Data, signature.Data); err != nil {
			return nil, &installer.Refusal{Status: installer.StatusRefused, Message: err.Error(), Remedy: installer.RemedyOf(err), Cause: err}
		}
	}
	return got.Data, nil
}

// besideOf is the address of a file's signature: a query is not part of the name.
func besideOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address + preseed.SignatureSuffix
	}
	u.Path += preseed.SignatureSuffix
	u.RawPath = ""
	return u.String()
}

func refused(address string, err error) error {
	refusal := &installer.Refusal{Status: installer.StatusRefused, Message: "fetching " + address + ": " + err.Error(), Cause: err}
	var e *fetch.Error
	if errors.As(err, &e) {
		refusal.Remedy = e.Remedy
	}
	return refusal
}

// connect puts a network in place on the installer, until it is taken away again.
func connect(ctx context.Context, n preseed.Network, nics []hardware.NIC) (disconnect func() error, err error) {
	l := &lan{}
	disconnect = func() error { return l.leave(context.WithoutCancel(ctx), nics) }
	if err := l.join(ctx, n, nics); err != nil {
		return nil, errors.Join(err, disconnect())
	}
	return disconnect, nil
}

// floor keeps a dead clock from refusing certificates: it is at least the time of the
// image and the beginning of what has been seen.
func floor(certificate time.Time) error {
	box := clock.Node()
	facts := box.Facts()
	facts.Certificate = certificate
	d := clock.Decide(facts)
	if !d.Wrong {
		return nil
	}
	return clock.Set(d.Time)
}
