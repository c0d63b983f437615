// Package clock keeps the time of a box that may have no battery behind its clock.
//
// Before anything checks a certificate, the clock is at least the newest of: the
// date the image bears, the time that the box last wrote down, and the newest
// NotBefore of its own certificates. A box that starts in 1970 is therefore only as
// late as it was long switched off, its cluster starts, and its WireGuard peers,
// which refuse a time before the last one they saw, accept it, at the latest after the
// minute between what was written down and the power cut. A clock that says 2099 is not
// believed either: it falls back to the same floor.
//
// A clock can be wrong and still possible: one that says 2040 has its time written down,
// and certificates are made from it. Once a time server has set the clock (the kernel then
// calls it synchronised), that is the better knowledge: it is written down whatever was
// before, and with the note that it was synchronised. From then on a certificate that
// begins long after the time that was written down no longer holds the floor.
//
// Decide is pure; setting and writing down are thin. The unit stek-clock sets the
// clock at each start, before the tunnel is made, the keys are settled and k3s starts, and
// stek-clock-save writes the time down every minute. The installer sets it before it fetches answers,
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

	Confirmed    time.Time // what was written down last from a synchronised clock
	Synchronised bool      // a time server sets the clock, as the kernel sees it
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

// Unwritten is how long a box runs, at most, without writing the time down. Where the
// clock was synchronised once, a certificate that begins longer than that after the time
// that was written down was made by a clock that was wrong.
const Unwritten = time.Hour

// Decide says what the clock should say.
func Decide(f Facts) Decision {
	ceiling := f.Built.Add(Life)
	floor, from := f.floor(ceiling)
	switch {
	case f.Now.Before(floor):
		return Decision{floor, true, fmt.Sprintf("the clock says %s, which is before %s: it is set to %s", day(f.Now), from, day(floor))}
	case !f.Built.IsZero() && f.Now.After(ceiling):
		return Decision{floor, true, fmt.Sprintf("the clock says %s, which cannot be: it is set to %s, when %s", day(f.Now), day(floor), from)}
	}
	return Decision{f.Now, false, "the clock says " + day(f.Now)}
}

// floor is the time that the clock cannot be before, and what happened then.
func (f Facts) floor(ceiling time.Time) (floor time.Time, from string) {
	floor, from = f.Built, "the image was built"
	if f.Synchronised {
		return floor, from
	}
	raise := func(at time.Time, words string) {
		if at.After(floor) && (f.Built.IsZero() || at.Before(ceiling)) {
			floor, from = at, words
		}
	}
	raise(f.Persisted, "it was written down last")
	if f.Confirmed.IsZero() || f.Certificate.Before(f.Persisted.Add(Unwritten)) {
		raise(f.Certificate, "its newest certificate begins")
	}
	return floor, from
}

// Believable tells whether a time may be written down.
func Believable(f Facts) bool { return !Decide(f).Wrong }

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }
