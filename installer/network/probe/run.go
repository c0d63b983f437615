//go:build linux

package probe

import (
	"context"
	"net/netip"
	"slices"
	"time"
)

// prober carries what one stage learns to the later ones.
type prober struct {
	Env
	want   Want
	report Report
	links  map[string]*seenLink // by name: several links may use one card

	silent      map[string]bool // gateways, by link, that did not say that they drop packets
	nameServers []netip.Addr
	namesWork   bool
	clockOff    time.Duration  // how far this clock is from the time servers', 0 when not known
	awaited     []netip.Prefix // networks behind a tunnel to which no peer has come yet
}

// seenLink is what was learnt of a link.
type seenLink struct {
	addresses []netip.Prefix
	offers    []Offer
}

// Run tests every stage, and ends early with the context only.
func Run(ctx context.Context, want Want, env Env) Report {
	p := &prober{Env: env, want: want, links: map[string]*seenLink{}, silent: map[string]bool{}}
	if want.Offline {
		p.skipAll("this box is to have no network")
		return p.report
	}
	if len(want.Links) == 0 {
		p.skipAll("no link is configured")
		return p.report
	}
	watch := watchCarriers()
	defer watch.stop()
	for _, l := range want.Links {
		p.link(ctx, l, watch)
	}
	if !p.report.Carried() {
		for _, s := range boxStages {
			p.skip(s.stage, "", "no link works")
		}
		return p.report
	}
	for _, s := range boxStages {
		s.run(p, ctx)
	}
	p.report = conclude(p.report, watch.stop(), p.silent)
	return p.report
}

// boxStages concern all links together.
var boxStages = []struct {
	stage Stage
	run   func(*prober, context.Context)
}{
	{DNS, (*prober).dns}, {Portal, (*prober).portal}, {Clock, (*prober).clock}, {ProxyStage, (*prober).proxy},
	{MTU, (*prober).mtu}, {TunnelStage, (*prober).tunnel}, {Reach, (*prober).services},
}

// linkStage is one stage of one link.
type linkStage struct {
	stage Stage
	run   func() finding
}

// link runs the stages of one link.
func (p *prober) link(ctx context.Context, l Link, watch *carrierWatch) {
	p.links[l.Name] = &seenLink{}
	p.inOrder(l.Name, []linkStage{
		{Carrier, func() finding {
			if l.Network != "" {
				return p.radio(ctx, l)
			}
			return p.carrier(ctx, l, watch)
		}},
		{Association, func() finding {
			if l.Network == "" {
				return skipped("a cable has no network to join")
			}
			return p.association(ctx, l)
		}},
		{Address, func() finding { return p.address(ctx, l) }},
		{Duplicate, func() finding { return p.duplicate(ctx, l) }},
		{Gateway, func() finding { return p.gateway(ctx, l) }},
	})
}

// inOrder runs stages until one fails, or finds that the link stands by.
func (p *prober) inOrder(link string, stages []linkStage) {
	over := "" // why the stages that are left are skipped
	for _, s := range stages {
		if over != "" {
			p.skip(s.stage, link, over)
			continue
		}
		began := time.Now()
		f := s.run()
		p.add(s.stage, link, began, f)
		switch {
		case f.outcome == Failed:
			over = "the stage " + string(s.stage) + " failed"
		case f.standsBy:
			over = f.saw
		}
	}
}

// finding is the result of a stage before it is put into the report.
type finding struct {
	outcome Outcome
	fault   Fault
	saw     string
	do      string // instead of the fault's own remedy

	standsBy bool // of a skipped stage: another link has the card now
}

func passed(saw string) finding              { return finding{outcome: Passed, saw: saw} }
func skipped(saw string) finding             { return finding{outcome: Skipped, saw: saw} }
func failed(fault Fault, saw string) finding { return finding{outcome: Failed, fault: fault, saw: saw} }

func (p *prober) add(stage Stage, of string, began time.Time, f finding) Verdict {
	v := Verdict{Stage: stage, Of: of, Outcome: f.outcome, Fault: f.fault, Took: time.Since(began), Saw: f.saw, Do: f.do}
	if v.Fault != "" && v.Do == "" {
		v.Do = remedies[v.Fault]
	}
	p.report.Verdicts = append(p.report.Verdicts, v)
	if p.Seen != nil {
		p.Seen(v)
	}
	return v
}

func (p *prober) skip(stage Stage, of, why string) { p.add(stage, of, time.Now(), skipped(why)) }

func (p *prober) skipAll(why string) {
	for _, s := range linkStages {
		p.skip(s, "", why)
	}
	for _, s := range boxStages {
		p.skip(s.stage, "", why)
	}
}

// conclude looks at all verdicts together, for what no single stage can know: a
// link that lost its carrier while the later stages were running, and a gateway
// that answers for itself while nothing behind it does.
func conclude(r Report, lost map[string]int, silent map[string]bool) Report {
	r.Verdicts = slices.Clone(r.Verdicts)
	answered := slices.ContainsFunc(r.Verdicts, func(v Verdict) bool {
		return v.fromAfar() && (v.Outcome == Passed || v.Fault.answered())
	})
	asked := slices.ContainsFunc(r.Verdicts, func(v Verdict) bool { return v.fromAfar() && v.Outcome == Failed })
	for i, v := range r.Verdicts {
		switch {
		case v.Stage == Carrier && v.Outcome == Passed && lost[v.Of] > 0:
			v.Saw = "the carrier was lost while the later stages were running"
			r.Verdicts[i] = v.fail(FaultFlapping)
		case v.Stage == Gateway && v.Outcome == Passed && silent[v.Of] && asked && !answered:
			v.Saw += ", and nothing behind it answers to anything"
			r.Verdicts[i] = v.fail(FaultGatewayForward)
		}
	}
	return r
}

// fromAfar: these stages ask somebody who is, as a rule, behind the gateway.
func (v Verdict) fromAfar() bool {
	return slices.Contains([]Stage{DNS, Clock, ProxyStage, TunnelStage, Reach}, v.Stage)
}

// fail turns a verdict into a failure.
func (v Verdict) fail(fault Fault) Verdict {
	v.Outcome, v.Fault, v.Do = Failed, fault, remedies[fault]
	return v
}

// wait polls until done reports true, the limit has passed or ctx has ended.
func wait(ctx context.Context, limit time.Duration, done func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if done() {
			return true
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return done()
		}
	}
}
