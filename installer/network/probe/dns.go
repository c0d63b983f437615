//go:build linux

package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// dns asks each name server for the names that the box needs, and for one that
// cannot exist.
func (p *prober) dns(ctx context.Context) {
	began := time.Now()
	p.nameServers = p.findNameServers()
	names := p.neededNames()
	if len(p.nameServers) == 0 {
		if len(names) == 0 {
			p.add(DNS, "", began, skipped("no name server is known, and no name is needed"))
			return
		}
		p.add(DNS, "", began, failed(FaultNoDNS, "no name server is known, and "+names[0]+" is needed"))
		return
	}
	answers := make([]serverAnswers, 0, len(p.nameServers))
	for _, s := range p.nameServers {
		answers = append(answers, p.askServer(ctx, s, names))
	}
	f := judgeDNS(answers)
	p.namesWork = f.outcome == Passed
	p.add(DNS, "", began, f)
}

// serverAnswers is what one name server said.
type serverAnswers struct {
	server  netip.Addr
	problem string // it did not answer, and why
	refuses string // the response code that it answers everything with
	lie     string // an address that it gave for a name that cannot exist
	names   map[string][]netip.Addr
	unknown []string // needed names that it says do not exist
}

func judgeDNS(all []serverAnswers) finding {
	var silent, good []string
	for _, a := range all {
		switch {
		case a.lie != "":
			return failed(FaultDNSLies, fmt.Sprintf("%s answers %s for a name that cannot exist", a.server, a.lie))
		case a.problem != "":
			silent = append(silent, a.server.String()+" "+a.problem)
		case a.refuses == "" && len(a.unknown) == 0:
			good = append(good, a.server.String()+" answers")
		}
	}
	if len(good) > 0 {
		return passed(strings.Join(append(good, silent...), "; "))
	}
	for _, a := range all {
		if a.refuses != "" {
			return failed(FaultDNSRefuses, fmt.Sprintf("%s answers %s", a.server, a.refuses))
		}
	}
	for _, a := range all {
		if len(a.unknown) > 0 {
			return failed(FaultDNSUnknown, fmt.Sprintf("%s says that there is no %s", a.server, strings.Join(a.unknown, ", ")))
		}
	}
	return failed(FaultDNSSilent, strings.Join(silent, "; "))
}

func (p *prober) askServer(ctx context.Context, server netip.Addr, names []string) serverAnswers {
	a := serverAnswers{server: server, names: map[string][]netip.Addr{}}
	// A name under .invalid never exists (RFC 6761, section 6.4).
	nowhere := fmt.Sprintf("stek-%08x.invalid", rand.Uint32())
	code, found, err := p.query(ctx, server, nowhere, dnsmessage.TypeA)
	switch {
	case err != nil:
		a.problem = dnsProblem(err)
		return a
	case len(found) > 0:
		a.lie = found[0].String()
		return a
	case code == dnsmessage.RCodeRefused || code == dnsmessage.RCodeServerFailure && len(names) == 0:
		a.refuses = rcodeWord(code)
	}
	for _, name := range names {
		code, found, err := p.query(ctx, server, name, dnsmessage.TypeA)
		if err == nil && len(found) == 0 && code == dnsmessage.RCodeSuccess {
			code, found, err = p.query(ctx, server, name, dnsmessage.TypeAAAA)
		}
		switch {
		case err != nil:
			a.problem = dnsProblem(err)
			return a
		case code == dnsmessage.RCodeNameError, code == dnsmessage.RCodeSuccess && len(found) == 0:
			a.unknown = append(a.unknown, name)
		case code != dnsmessage.RCodeSuccess:
			a.refuses = rcodeWord(code)
		default:
			a.refuses = ""
			a.names[name] = found
		}
	}
	return a
}

func rcodeWord(code dnsmessage.RCode) string {
	switch code {
	case dnsmessage.RCodeRefused:
		return "REFUSED"
	case dnsmessage.RCodeServerFailure:
		return "SERVFAIL"
	}
	return code.String()
}

func dnsProblem(err error) string {
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return "does not answer"
	}
	return "cannot be asked: " + err.Error()
}

// findNameServers takes those of the answers, then those that DHCP servers tell,
// then those that the running system got to know.
func (p *prober) findNameServers() []netip.Addr {
	var all []netip.Addr
	good := p.report.good()
	for _, l := range p.want.Links {
		if !good[l.Name] {
			continue
		}
		all = append(all, l.DNS...)
		for _, o := range p.links[l.Name].offers {
			all = append(all, o.DNS...)
		}
	}
	if text, err := os.ReadFile(p.Resolv); err == nil {
		all = append(all, parseResolv(string(text))...)
	}
	var once []netip.Addr
	for _, a := range all {
		if a.IsValid() && !a.IsLoopback() && !slices.Contains(once, a) && len(once) < 4 {
			once = append(once, a)
		}
	}
	return once
}

// parseResolv reads the name servers of a resolv.conf(5).
func parseResolv(text string) []netip.Addr {
	var all []netip.Addr
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) >= 2 && words[0] == "nameserver" {
			if a, err := netip.ParseAddr(words[1]); err == nil {
				all = append(all, a)
			}
		}
	}
	return all
}

// neededNames are the host names without which the later stages cannot work.
func (p *prober) neededNames() []string {
	var hosts []string
	if p.want.Proxy != nil {
		hosts = append(hosts, p.want.Proxy.URL.Hostname())
	}
	for _, s := range p.want.Services {
		if p.want.Proxy == nil || s.Direct { // otherwise the proxy looks it up
			hosts = append(hosts, s.URL.Hostname())
		}
	}
	if p.want.Tunnel != nil {
		for _, e := range p.want.Tunnel.Endpoints {
			if host, _, err := net.SplitHostPort(e); err == nil {
				hosts = append(hosts, host)
			}
		}
	}
	hosts = append(hosts, p.want.TimeServers...)
	var names []string
	for _, h := range hosts {
		if _, err := netip.ParseAddr(h); err != nil && h != "" && !slices.Contains(names, h) {
			names = append(names, h)
		}
	}
	return names
}

// query asks one server, over UDP and, when the answer was cut, over TCP.
func (p *prober) query(ctx context.Context, server netip.Addr, name string, kind dnsmessage.Type) (dnsmessage.RCode, []netip.Addr, error) {
	var err error
	for range p.Tries {
		var m dnsmessage.Message
		m, err = p.exchange(ctx, "udp", server, name, kind)
		if err == nil && m.Truncated {
			m, err = p.exchange(ctx, "tcp", server, name, kind)
		}
		if err == nil {
			return m.RCode, addressesIn(m), nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return 0, nil, err
}

func (p *prober) exchange(ctx context.Context, network string, server netip.Addr, name string, kind dnsmessage.Type) (dnsmessage.Message, error) {
	var none dnsmessage.Message
	full, err := dnsmessage.NewName(strings.TrimSuffix(name, ".") + ".")
	if err != nil {
		return none, fmt.Errorf("%s is too long for a name", name)
	}
	id := uint16(rand.Uint32())
	question := dnsmessage.Question{Name: full, Type: kind, Class: dnsmessage.ClassINET}
	request := dnsmessage.Message{Header: dnsmessage.Header{ID: id, RecursionDesired: true}, Questions: []dnsmessage.Question{question}}
	wire, err := request.Pack()
	if err != nil {
		return none, err
	}
	dialer := net.Dialer{Timeout: p.Answer}
	conn, err := dialer.DialContext(ctx, network, netip.AddrPortFrom(server, 53).String())
	if err != nil {
		return none, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(p.Answer)); err != nil {
		return none, err
	}
	if network == "tcp" { // RFC 1035, section 4.2.2: a length comes first
		wire = append([]byte{byte(len(wire) >> 8), byte(len(wire))}, wire...)
	}
	if _, err := conn.Write(wire); err != nil {
		return none, err
	}
	buffer := make([]byte, 65535)
	for {
		var n int
		if network == "tcp" {
			var length [2]byte
			if _, err = io.ReadFull(conn, length[:]); err == nil {
				n, err = io.ReadFull(conn, buffer[:int(length[0])<<8|int(length[1])])
			}
		} else {
			n, err = conn.Read(buffer)
		}
		if err != nil {
			return none, err
		}
		var m dnsmessage.Message
		if m.Unpack(buffer[:n]) == nil && m.ID == id && m.Response && len(m.Questions) == 1 && strings.EqualFold(m.Questions[0].Name.String(), full.String()) {
			return m, nil
		}
		if network == "tcp" {
			return none, errors.New("the answer belongs to another question")
		}
	}
}

func addressesIn(m dnsmessage.Message) []netip.Addr {
	var all []netip.Addr
	for _, a := range m.Answers {
		switch body := a.Body.(type) {
		case *dnsmessage.AResource:
			all = append(all, netip.AddrFrom4(body.A))
		case *dnsmessage.AAAAResource:
			all = append(all, netip.AddrFrom16(body.AAAA))
		}
	}
	return all
}

// lookup finds a host's addresses with the name servers of the links.
func (p *prober) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	err := errors.New("no name server is known")
	for _, s := range p.nameServers {
		for _, kind := range []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA} {
			code, found, askErr := p.query(ctx, s, host, kind)
			if askErr != nil {
				err = askErr
				break
			}
			if len(found) > 0 {
				return found, nil
			}
			err = fmt.Errorf("%s says %s", s, strings.TrimPrefix(code.String(), "RCode"))
		}
	}
	return nil, fmt.Errorf("looking up %s: %w", host, err)
}
