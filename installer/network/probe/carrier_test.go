//go:build linux

package probe

import "testing"

// TestCarrierWatch: what is counted is what was lost until the first stop.
func TestCarrierWatch(t *testing.T) {
	const index = -1 // no card has it
	w := watchCarriers()
	w.follow(index, "uplink")
	w.update(index, false)
	for range 2 {
		if lost := w.stop(); len(lost) != 1 || lost["uplink"] != 1 {
			t.Errorf("got %v", lost)
		}
		w.update(index, true)
		w.update(index, false)
	}
}
