//go:build linux

package probe

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/beevik/ntp"
)

// maxClockError is how far a clock may be off before things fail: certificates that
// were just made, Kerberos and tokens allow between one and five minutes.
const maxClockError = 30 * time.Second

// clock asks time servers how far this clock is off.
func (p *prober) clock(ctx context.Context) {
	began := time.Now()
	servers := p.namedTimeServers()
	if len(servers) == 0 {
		p.add(Clock, "", began, p.clockByFallback(ctx))
		return
	}
	f, silent := p.compare(ctx, servers, p.Tries)
	if silent != "" {
		f = failed(FaultTimeSilent, "no time server answers; "+silent)
	}
	p.add(Clock, "", began, f)
}

// namedTimeServers are those of the answers, then those that DHCP servers tell.
func (p *prober) namedTimeServers() []string {
	servers := slices.Clone(p.want.TimeServers)
	for _, l := range p.want.Links {
		for _, o := range p.links[l.Name].offers {
			for _, a := range o.NTP {
				if !slices.Contains(servers, a.String()) {
					servers = append(servers, a.String())
				}
			}
		}
	}
	return servers
}

// clockByFallback asks the servers that nobody has named. When they are out of reach, that
// is told with its remedy and is no failure: a closed site is no broken one. Each is asked
// once, since they are many and of one kind.
func (p *prober) clockByFallback(ctx context.Context) finding {
	own := "; this clock says " + p.Now().UTC().Format(time.RFC3339)
	if len(p.want.FallbackTimeServers) == 0 {
		return skipped("no time server is known" + own)
	}
	f, silent := finding{}, "names cannot be looked up"
	if p.namesWork {
		f, silent = p.compare(ctx, p.want.FallbackTimeServers, 1)
	}
	if silent != "" {
		f = skipped("no time server is named, and the public ones are out of reach: " + silent + own)
		f.do = remedies[FaultTimeSilent]
	}
	return f
}

// compare asks servers until one answers. silent says of the last one why none did.
func (p *prober) compare(ctx context.Context, servers []string, tries int) (f finding, silent string) {
	for _, s := range servers {
		r, err := p.askTime(ctx, s, tries)
		if err == nil {
			p.clockOff = r.ClockOffset
			return judgeClock(s, r), ""
		}
		silent = fmt.Sprintf("%s: %v", s, err)
	}
	return f, silent
}

func judgeClock(server string, r *ntp.Response) finding {
	off := r.ClockOffset
	saw := fmt.Sprintf("by %s this clock is %s, give or take %v", server, offWords(off), r.RootDistance.Round(time.Millisecond))
	if off.Abs() > maxClockError+r.RootDistance {
		return failed(FaultClockOff, saw)
	}
	return passed(saw)
}

// offWords says an offset from this clock's point of view; a positive one of NTP
// means that this clock is behind.
func offWords(off time.Duration) string {
	unit := time.Millisecond
	if off.Abs() > 10*time.Second {
		unit = time.Second
	}
	switch off = off.Round(unit); {
	case off > 0:
		return off.String() + " behind"
	case off < 0:
		return off.Abs().String() + " ahead"
	}
	return "right"
}

func (p *prober) askTime(ctx context.Context, server string, tries int) (*ntp.Response, error) {
	found, err := p.lookup(ctx, server)
	if err != nil {
		return nil, err
	}
	for range tries {
		var r *ntp.Response
		r, err = ntp.QueryWithOptions(netip.AddrPortFrom(found[0], 123).String(), ntp.QueryOptions{Timeout: p.Answer, GetSystemTime: p.Now})
		if err == nil {
			if err = r.Validate(); err == nil {
				return r, nil
			}
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return nil, err
}
