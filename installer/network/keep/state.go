package keep

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"

	"github.com/stek-edge/stek/installer/network"
	"github.com/stek-edge/stek/installer/network/probe"
	"github.com/stek-edge/stek/installer/preseed"
)

// Config is a rendered network configuration. It holds secrets.
type Config struct {
	Files []network.File `json:"files"`
	// Test is what the configuration should lead to.
	Test json.RawMessage `json:"test,omitempty"`
}

// ID names a configuration by its content.
func (c Config) ID() string {
	text, err := json.Marshal(c)
	if err != nil {
		return "" // cannot happen: files are plain data
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:6])
}

// State is the journal.
type State struct {
	Kept  Config `json:"kept"`
	Trial *Trial `json:"trial,omitempty"`
	Last  *Past  `json:"last,omitempty"` // how the last trial ended
}

// Trial is a configuration that is in place and not kept yet.
type Trial struct {
	Config Config        `json:"config"`
	Within time.Duration `json:"within"` // it must be confirmed this long after its test; 0: it need not be
	Good   bool          `json:"good"`   // the test was passed
}

// Past says how a trial ended.
type Past struct {
	ID     string `json:"id"`
	Kept   bool   `json:"kept"`
	Reason string `json:"reason"`
}

// Event is what happens to a trial.
type Event struct {
	Kind   Kind
	Config Config        // of Asked
	Within time.Duration // of Asked
	ID     string        // of Confirmed
	Why    string        // of Failed
}

// Kind of an Event.
type Kind int

// The events.
const (
	Asked     Kind = iota // somebody wants a new configuration
	Passed                // the test found it no worse than the old one
	Failed                // the test found it worse, or it could not be put in place
	Confirmed             // somebody who uses it says that it is good
	Expired               // the time to confirm is over
	Restarted             // the box or this program started anew
)

// Action is what has to be done after an event.
type Action int

// The actions.
const (
	Nothing    Action = iota
	PutTrial          // put the trial's files in place and test them
	AwaitWord         // wait for the confirmation
	PutKept           // put the kept files back in place
	KeepTrials        // nothing to put: the trial's files have become the kept ones
)

// Next returns the state after an event, and what to do about it. An event that
// does not fit the state changes nothing.
func (s State) Next(e Event) (State, Action) {
	if s.Trial == nil {
		if e.Kind == Asked {
			s.Trial = &Trial{Config: e.Config, Within: e.Within}
			return s, PutTrial
		}
		return s, Nothing
	}
	switch e.Kind {
	case Passed:
		if s.Trial.Within == 0 {
			return s.keep("the test was passed"), KeepTrials
		}
		t := *s.Trial
		t.Good = true
		s.Trial = &t
		return s, AwaitWord
	case Confirmed:
		// Before the test is over there is nothing to confirm yet.
		if s.Trial.Good && e.ID == s.Trial.Config.ID() {
			return s.keep("it was confirmed"), KeepTrials
		}
	case Failed:
		return s.back(e.Why), PutKept
	case Expired:
		return s.back("nobody confirmed it in time"), PutKept
	case Restarted:
		return s.back("the box restarted before it was kept"), PutKept
	}
	return s, Nothing
}

func (s State) keep(why string) State {
	return State{Kept: s.Trial.Config, Last: &Past{ID: s.Trial.Config.ID(), Kept: true, Reason: why}}
}

func (s State) back(why string) State {
	return State{Kept: s.Kept, Last: &Past{ID: s.Trial.Config.ID(), Reason: why}}
}

// Worse lists why a configuration is worse than the one before it: stages that did not
// fail before and fail now. before is nil when nothing was tested; then every failure
// that is this side's own counts.
//
// The far side's faults never count. Silence of a far side counts only where it
// spoke before: it may be off, or the new configuration may not lead there. So a tunnel to
// a peer that is new may be silent: head office enters the box's public key when the box
// has shown it. That a clock is off counts only where it was right before: a configuration
// that names the first time server is how somebody gets to know, and what puts it right. So
// does a black hole for large packets: it is the site's, and a configuration that names the
// first far end is how somebody gets to know.
func Worse(before *probe.Report, after probe.Report) []probe.Verdict {
	if before == nil {
		return after.Local()
	}
	var worse []probe.Verdict
	if !carried(after) {
		if carried(*before) || reach(after) < reach(*before) {
			if v, failed := after.Failed(); failed {
				worse = append(worse, v)
			}
		}
		return worse
	}
	for _, v := range after.Verdicts {
		if !v.OfLink() && v.Outcome == probe.Failed && counts(*before, v) {
			worse = append(worse, v)
		}
	}
	return worse
}

// counts reports whether a failure speaks against a configuration, by how the same stage
// ended before.
func counts(before probe.Report, v probe.Verdict) bool {
	switch outcome(before, v) {
	case probe.Passed:
		return !v.Fault.Remote() || v.Fault.Silence()
	case probe.Failed:
		return false
	}
	// It was not there to be tested. Where nothing carried the box, or what it stands on was
	// broken, nothing was, and what is seen now is no worse.
	return carried(before) && !broken(before) && !v.Fault.Remote() && v.Fault != probe.FaultClockOff && v.Fault != probe.FaultBlackHole
}

// broken reports whether a stage of the box as a whole failed.
func broken(r probe.Report) bool {
	return slices.ContainsFunc(r.Verdicts, func(v probe.Verdict) bool { return !v.OfLink() && v.Outcome == probe.Failed })
}

// outcome is how the same stage ended in another report, Skipped where it is not in it.
func outcome(r probe.Report, like probe.Verdict) probe.Outcome {
	for _, v := range r.Verdicts {
		if v.Stage == like.Stage && v.Of == like.Of {
			return v.Outcome
		}
	}
	return probe.Skipped
}

func carried(r probe.Report) bool { return r.Carried() }

// reach is how many stages the best link passes.
func reach(r probe.Report) int {
	most, of := 0, map[string]int{}
	for _, v := range r.Verdicts {
		if v.OfLink() && v.Outcome == probe.Passed {
			of[v.Of]++
			most = max(most, of[v.Of])
		}
	}
	return most
}

// Make renders a configuration.
func Make(n preseed.Network, f network.Facts) (Config, error) {
	files, err := network.Render(n, f)
	if err != nil {
		return Config{}, err
	}
	test, err := network.Remember(n)
	if err != nil {
		return Config{}, err
	}
	return Config{Files: files, Test: test}, nil
}
