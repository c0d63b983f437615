package builder

import (
	"sync"
	"time"

	"github.com/stek-edge/stek/images/component"
)

// pulse hands progress on, and repeats the last of it each second while nothing new
// comes: a tool that is silent for a minute must not look like one that hangs.
type pulse struct {
	to component.Report

	mu    sync.Mutex
	last  component.Progress
	began time.Time // of the task at hand
	sent  time.Time
}

// beat starts the pulse. The builder sends to the report that it returns, until end.
func beat(to component.Report) (report component.Report, end func()) {
	p := &pulse{to: to}
	stop := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case now := <-tick.C:
				p.again(now)
			case <-stop:
				return
			}
		}
	})
	return p.take, func() { close(stop); running.Wait() }
}

func (p *pulse) take(now component.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = time.Now()
	if now.Task != p.last.Task {
		p.began = p.sent
	}
	p.last = now
	p.to.Send(now)
}

func (p *pulse) again(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last.Task == "" || now.Sub(p.sent) < time.Second || p.last.Total > 0 && p.last.Done >= p.last.Total {
		return
	}
	p.last.Elapsed = now.Sub(p.began)
	p.to.Send(p.last)
}
