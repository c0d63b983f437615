package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/stek-edge/stek/images/component"
	"github.com/stek-edge/stek/installer/hardware"
)

// progressWriter shows what a build is doing: what, how much of how much, how fast,
// and how long it will still take. On a terminal one line is kept up to date;
// elsewhere a line is written now and then, so that a log stays readable.
type progressWriter struct {
	w        io.Writer
	terminal bool
	now      func() time.Time

	task   string
	began  time.Time // of the task
	from   int64     // what was done by then: an earlier run may have left something
	shown  time.Time
	behind bool // the line on the terminal is not ended yet
}

// How often a line is renewed on a terminal, and written elsewhere.
const (
	renewEvery = 250 * time.Millisecond
	writeEvery = 10 * time.Second
)

func showProgress(w io.Writer) *progressWriter {
	p := &progressWriter{w: w, now: time.Now}
	if f, ok := w.(*os.File); ok {
		p.terminal = term.IsTerminal(int(f.Fd()))
	}
	return p
}

// report is what a builder sends to.
func (p *progressWriter) report(now component.Progress) {
	at := p.now()
	ended := now.Total > 0 && now.Done >= now.Total
	if now.Task != p.task {
		p.end()
		p.task, p.began, p.from, p.shown = now.Task, at, now.Done, at
		p.line(now, at)
		return
	}
	every := writeEvery
	if p.terminal {
		every = renewEvery
	}
	// The first line of a task that takes long comes soon, so that nobody wonders.
	if at.Sub(p.began) < writeEvery {
		every = min(every, 3*time.Second)
	}
	if at.Sub(p.shown) < every && (!ended || !p.terminal && at.Sub(p.began) < 3*time.Second) {
		return
	}
	p.shown = at
	p.line(now, at)
}

func (p *progressWriter) line(now component.Progress, at time.Time) {
	text := progressText(now, now.Done-p.from, at.Sub(p.began))
	if !p.terminal {
		fmt.Fprintln(p.w, text)
		return
	}
	p.behind = true
	fmt.Fprintf(p.w, "\r%.78s\x1b[K", text)
}

// end finishes the line on a terminal.
func (p *progressWriter) end() {
	if p.behind {
		fmt.Fprintln(p.w)
	}
	p.behind = false
}

// progressText puts one report into words. done and took are what was done since the
// task was first seen, and how long that took.
func progressText(p component.Progress, done int64, took time.Duration) string {
	text := p.Task
	if p.Total > 0 {
		text += ": " + amount(p.Done, p.Unit) + " of " + amount(p.Total, p.Unit)
		if p.Unit != "bytes" {
			text += " " + p.Unit
		}
	}
	if took < time.Second {
		return text
	}
	if done > 0 && p.Done < p.Total {
		perSecond := float64(done) / took.Seconds()
		if p.Unit == "bytes" {
			text += ", " + hardware.Size(uint64(perSecond)) + "/s"
		}
		left := time.Duration(float64(p.Total-p.Done) / perSecond * float64(time.Second))
		return text + ", about " + left.Round(time.Second).String() + " left"
	}
	text += ", " + took.Round(time.Second).String()
	if p.Total == 0 && p.Done > 0 && p.Unit == "bytes" {
		text += ", " + hardware.Size(uint64(p.Done))
	}
	return text
}

func amount(n int64, unit string) string {
	if unit == "bytes" {
		return hardware.Size(uint64(n))
	}
	return fmt.Sprint(n)
}
