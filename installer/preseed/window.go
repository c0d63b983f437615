package preseed

import (
	"errors"
	"fmt"
	"time"
)

// Window is a part of every day, from a time to a time, in the box's time zone. It
// may run over midnight. The zero Window is none.
type Window struct {
	From, To int // minutes since midnight, 0 to 1439
}

// IsZero tells whether no window is given.
func (w Window) IsZero() bool { return w == Window{} }

// Length returns how long the window is each day, where no clock is changed.
func (w Window) Length() time.Duration {
	return time.Duration((w.To-w.From+24*60)%(24*60)) * time.Minute
}

// Contains tells whether a time of day, in minutes since midnight, is inside.
func (w Window) Contains(minute int) bool {
	if w.From <= w.To {
		return minute >= w.From && minute < w.To
	}
	return minute >= w.From || minute < w.To
}

// String writes the window as 22:00-06:00.
func (w Window) String() string {
	return fmt.Sprintf("%02d:%02d-%02d:%02d", w.From/60, w.From%60, w.To/60, w.To%60)
}

// MarshalText writes the window as 22:00-06:00.
func (w Window) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (w *Window) UnmarshalText(text []byte) error {
	var clock [4]int
	if len(text) != 11 || text[5] != '-' {
		return errWindow
	}
	for i, at := range []int{0, 3, 6, 9} {
		digits := text[at : at+2]
		if digits[0] < '0' || digits[0] > '9' || digits[1] < '0' || digits[1] > '9' || (i%2 == 0 && text[at+2] != ':') {
			return errWindow
		}
		clock[i] = int(digits[0]-'0')*10 + int(digits[1]-'0')
	}
	if clock[0] > 23 || clock[2] > 23 || clock[1] > 59 || clock[3] > 59 {
		return errors.New("a time of day is between 00:00 and 23:59")
	}
	*w = Window{clock[0]*60 + clock[1], clock[2]*60 + clock[3]}
	return nil
}

// errWindow says how a window is written.
var errWindow = errors.New("a window is written as from-to, each with two digits: 22:00-06:00")

// checkWindow judges a window.
func checkWindow(value string) *problem {
	var w Window
	if err := w.UnmarshalText([]byte(value)); err != nil {
		return bad(quote(value)+": "+err.Error(), "for example \"22:00-06:00\"")
	}
	if w.Length() == 0 {
		return bad("the window is empty: it ends when it begins", "for example \"22:00-06:00\"")
	}
	return nil
}
