// Package clock keeps the time of a box that may have no battery behind its clock.
//
// Before anything checks a certificate, the clock is at least the newest of: the
// date the image bears, the time that the box last wrote down, and the newest
// NotBefore of its own certificates. A box that starts in 1970 is therefore only as
// late as it was long switched off, its cluster starts, and its WireGuard peers,
// which refuse a time before the last one they saw, accept it. A clock that says
// 2099 is not believed either: it falls back to the same floor.
//
// Decide is pure; setting and writing down are thin. The unit stek-clock sets the
// clock at each start, before the keys are settled and k3s starts, and stek-clock-save
// writes the time down every ten minutes. The installer sets it before it fetches answers,
// and after that by the server's certificate. The package must never ask a network: the
// time service does that, and what it finds wins over the floor.
//
//	d := clock.Decide(facts)
//	if d.Wrong {
//		err = clock.Set(d.Time)
//	}
package clock

import (
	"fmt"
	"time"
)

// Facts are the times that a box knows of. The zero time is one that it does not
// know.
type Facts struct {
	Now         time.Time // what its clock says
	Built       time.Time // when the image was built
	Persisted   time.Time // what was written down last
	Certificate time.Time // the newest NotBefore of its own certificates
}

// Decision is what the clock should say.
type Decision struct {
	Time  time.Time
	Wrong bool   // the clock has to be set to Time
	Words string // why, for a log
}

// Life is how long after its image was built a box is believed to run. A clock
// beyond that is broken, and so is a time that was written down from it.
const Life = 20 * 365 * 24 * time.Hour

// Decide says what the clock should say.
func Decide(f Facts) Decision {
	ceiling := f.Built.Add(Life)
	floor, from := f.Built, "the image was built"
	for _, c := range []struct {
		at    time.Time
		words string
	}{{f.Persisted, "it was written down last"}, {f.Certificate, "its newest certificate begins"}} {
		if c.at.After(floor) && (f.Built.IsZero() || c.at.Before(ceiling)) {
			floor, from = c.at, c.words
		}
	}
	switch {
	case f.Now.Before(floor):
		return Decision{floor, true, fmt.Sprintf("the clock says %s, which is before %s: it is set to %s", day(f.Now), from, day(floor))}
	case !f.Built.IsZero() && f.Now.After(ceiling):
		return Decision{floor, true, fmt.Sprintf("the clock says %s, which cannot be: it is set to %s, when %s", day(f.Now), day(floor), from)}
	}
	return Decision{f.Now, false, "the clock says " + day(f.Now)}
}

// Believable tells whether a time may be written down.
func Believable(f Facts) bool { return !Decide(f).Wrong }

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }
