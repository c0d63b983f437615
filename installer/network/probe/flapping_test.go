//go:build linux && guest

package probe

import (
	"sync"
	"testing"
	"time"
)

// TestFullFlapping: a link that loses its carrier every ten seconds for ten minutes is
// called that each time somebody looks, and a sound one afterwards.
func TestFullFlapping(t *testing.T) {
	s := newSite(t)
	s.fixed(t)
	s.goodHub(t)
	host := Host()
	s.env.Carrier, s.env.Flapping = host.Carrier, host.Flapping
	const every, within = 10 * time.Second, 10 * time.Minute
	end := time.Now().Add(within)
	var flaps sync.WaitGroup
	flaps.Go(func() {
		for time.Now().Before(end) {
			s.card.Unplug(t)
			time.Sleep(time.Second)
			s.card.Plug(t)
			time.Sleep(every - time.Second)
		}
	})
	time.Sleep(flapsBefore * every)
	looked := 0
	for ; time.Until(end) > 2*every; looked++ {
		v, failed := Run(t.Context(), s.want, s.env).Failed()
		if !failed || v.Stage != Carrier || v.Fault != FaultFlapping {
			t.Errorf("look %d: %s, %s, %q", looked+1, v.Stage, v.Fault, v.Saw)
		}
	}
	flaps.Wait()
	if v, failed := Run(t.Context(), s.want, s.env).Failed(); failed {
		t.Errorf("the cable was replaced: %s, %s, %q", v.Stage, v.Fault, v.Saw)
	}
	t.Logf("looked %d times", looked)
}
