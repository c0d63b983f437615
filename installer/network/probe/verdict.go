package probe

import (
	"encoding/json"
	"time"
)

// Stage is one step on the way from the card to the far end.
type Stage string

// The stages in their order.
const (
	Carrier     Stage = "carrier"
	Association Stage = "association"
	Address     Stage = "address"
	Duplicate   Stage = "duplicate-address"
	Gateway     Stage = "gateway"
	DNS         Stage = "dns"
	Portal      Stage = "portal"
	Clock       Stage = "clock"
	ProxyStage  Stage = "proxy"
	MTU         Stage = "path-mtu"
	TunnelStage Stage = "vpn"
	Reach       Stage = "service"
)

// Outcome is how a stage ended.
type Outcome string

// The outcomes.
const (
	Passed  Outcome = "passed"
	Failed  Outcome = "failed"
	Skipped Outcome = "skipped"
)

// Verdict is what one stage found.
type Verdict struct {
	Stage   Stage
	Of      string // the link or service; "" when the stage is about all
	Outcome Outcome
	Fault   Fault // of a failed stage
	Took    time.Duration
	Saw     string // what was seen, in words; never a secret
	Do      string // what to do; "" when there is nothing to do
}

// MarshalJSON writes the time in whole milliseconds.
func (v Verdict) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Stage   Stage   `json:"stage"`
		Of      string  `json:"of,omitempty"`
		Outcome Outcome `json:"outcome"`
		Fault   Fault   `json:"fault,omitempty"`
		Remote  bool    `json:"remote,omitempty"`
		Took    int64   `json:"took-ms"`
		Saw     string  `json:"saw"`
		Do      string  `json:"do,omitempty"`
	}{v.Stage, v.Of, v.Outcome, v.Fault, v.Fault.Remote(), v.Took.Milliseconds(), v.Saw, v.Do})
}

// Report is the verdict of every stage, in order.
type Report struct {
	Verdicts []Verdict `json:"verdicts"`
}

// linkStages are those that belong to one link.
var linkStages = []Stage{Carrier, Association, Address, Duplicate, Gateway}

// Failed returns the failure that a person should look at first. A link that fails
// while another one carries the box comes after every failure of the box as a whole.
func (r Report) Failed() (Verdict, bool) {
	var of *Verdict
	for i, v := range r.Verdicts {
		if v.Outcome != Failed {
			continue
		}
		if of == nil || (of.OfLink() && !v.OfLink() && r.Carried()) {
			of = &r.Verdicts[i]
		}
	}
	if of == nil {
		return Verdict{}, false
	}
	return *of, true
}

// OfLink reports whether the stage belongs to one link.
func (v Verdict) OfLink() bool {
	for _, s := range linkStages {
		if v.Stage == s {
			return true
		}
	}
	return false
}

// Carried reports whether at least one link passed all its own stages. One that stands by
// did not.
func (r Report) Carried() bool { return len(r.good()) > 0 }

// good are the links without a failed stage that do not stand by: their address was asked
// for. Of a box without a network no link is named, and nothing was asked for.
func (r Report) good() map[string]bool {
	good := map[string]bool{}
	for _, v := range r.Verdicts {
		if !v.OfLink() {
			continue
		}
		if _, known := good[v.Of]; !known {
			good[v.Of] = true
		}
		if v.Outcome == Failed || v.Of != "" && v.Stage == Address && v.Outcome == Skipped {
			good[v.Of] = false
		}
	}
	for name, ok := range good {
		if !ok {
			delete(good, name)
		}
	}
	return good
}

// Local returns the failures for which this box, its configuration or its site is
// to blame: those that make a configuration not worth keeping. A link of several
// that fails is none as long as another one carries the box, nor is anything that
// the far side did.
func (r Report) Local() []Verdict {
	carried := r.Carried()
	var local []Verdict
	for _, v := range r.Verdicts {
		if v.Outcome == Failed && !v.Fault.Remote() && (!carried || !v.OfLink()) {
			local = append(local, v)
		}
	}
	return local
}
