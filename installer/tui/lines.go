package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/console"
)

// RunLines asks the same questions line by line, for a screen reader or a terminal that
// can do no more. The end of the input ends it, with nothing done before a person has
// agreed to it. The error is as Run's.
func RunLines(ctx context.Context, s Session, o Options) error {
	ctx, cancel := context.WithCancel(ctx)
	l := &lines{ctx: ctx, st: newState(s), out: &speaker{w: o.Output, ascii: lookOf(o.Env).ascii}, typist: listen(ctx, o.Input)}
	defer l.typist.gone()
	defer cancel()
	defer l.typist.byLines()()
	err := l.pages()
	switch {
	case l.st.outcome != nil: // what was begun has ended so, whatever a person did afterwards
		return l.st.outcome
	case errors.Is(err, errEnded):
		l.say("\n%s", l.st.t("line.aborted"))
		return ErrLeft
	case ctx.Err() != nil:
		l.say("")
		return ErrLeft
	}
	return err
}

// lines is the line mode.
type lines struct {
	ctx    context.Context
	st     *state
	out    io.Writer
	typist *typist
	reads  int    // how many lines were asked for
	told   string // the language in which it was said how to answer
}

// errBack says that a person wants to see the page before.
var errBack = errors.New("back")

// errEnded says that there is nobody who could answer.
var errEnded = &installer.Refusal{Status: installer.StatusAborted, Message: "the input has ended before everything was answered", Remedy: "start again when you like"}

// pages goes from page to page until the person leaves, or the installation has ended well.
// After a failure the last page offers what can be done, and every answer is still there.
func (l *lines) pages() error {
	l.help()
	if err := l.st.useKeyboard(); err != nil && l.st.screens[0].id != "welcome" {
		l.say("! %s", l.st.say(err.Error())) // there is no field to say it at
	}
	var behind []int // pages that asked something: others are left by themselves
	for at := 0; ; {
		page, before := l.st.page(at), l.reads
		switch did, err := l.page(page); {
		case errors.Is(err, errBack) && !l.st.failed():
			if n := len(behind); n > 0 {
				at, behind = behind[n-1], behind[:n-1]
			}
		case errors.Is(err, errBack), err == nil && did == back:
			if l.st.looksFirst() {
				l.lookAgain()
			}
			at = l.st.change()
			behind = slices.DeleteFunc(behind, func(page int) bool { return page >= at })
		case err != nil:
			return err
		case did == next:
			l.help()
			if l.reads > before {
				behind = append(behind, at)
			}
			at++
		case did == begin:
			l.begin()
			at = l.st.at("review")
		case did == leave:
			return nil
		}
		if l.st.restarts() {
			return nil
		}
	}
}

// begin carries the plan out, or a further try. What was typed meanwhile answers nothing that
// is asked afterwards.
func (l *lines) begin() {
	defer l.typist.forget()
	if l.st.looksFirst() && !l.lookAgain() {
		return
	}
	p, answers, err := l.st.ready()
	switch {
	case err != nil:
		l.st.end(err)
		return
	case p == nil:
		return // to the review
	}
	l.st.start(p)
	err = l.during(l.sure(), func(ctx context.Context) error {
		return l.st.Install(ctx, answers, p, l, installer.PlainLines(translator{l.st, l.out}))
	})
	if l.st.Report != nil {
		l.st.report = l.st.Report()
	}
	l.st.end(err)
}

// during does what takes its time. Ctrl-C ends it, when sure says that it is meant; one from
// before is about something else.
func (l *lines) during(sure func() bool, do func(ctx context.Context) error) error {
	defer l.typist.endless()()
	select {
	case <-l.typist.stops:
	default:
	}
	ctx, cancel := context.WithCancel(l.ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		for {
			select {
			case <-l.typist.stops:
				if sure() {
					cancel()
					return
				}
			case <-ctx.Done():
				return
			}
		}
	})
	defer watch.Wait()
	defer cancel()
	return do(ctx)
}

// within is how soon Ctrl-C says the same again, seconds.
const within = 10

// sure asks before an installation is stopped: the second Ctrl-C is the answer, since a step
// may be waiting for a line itself.
func (l *lines) sure() func() bool {
	var asked time.Time
	return func() bool {
		if !asked.IsZero() && time.Since(asked) < within*time.Second {
			return true
		}
		asked = time.Now()
		l.say("\n%s %s", l.st.t("quit.ask.working"), l.st.t("line.stop", within))
		return false
	}
}

// help says how to answer, once in each language.
func (l *lines) help() {
	if l.told != l.st.texts.tag {
		l.told = l.st.texts.tag
		l.say("%s", l.st.t("line.help"))
	}
}

func (l *lines) say(format string, args ...any) { fmt.Fprintf(l.out, format+"\n", args...) }

// read puts a question and gives the line that is typed; a secret one is not shown, and is
// taken with its blanks.
func (l *lines) read(ctx context.Context, question string, secret bool) (string, error) {
	for {
		l.reads++
		text, err := l.next(ctx, question, secret)
		switch {
		case errors.Is(err, errStop):
			if err := l.stop(ctx); err != nil {
				return "", err
			}
		case err == nil && strings.TrimSpace(text) == "<" && l.st.phase != working:
			return "", errBack
		default:
			if !secret {
				text = strings.TrimSpace(text)
			}
			return text, err
		}
	}
}

// next waits for a line. While steps are at work Ctrl-C is about them.
func (l *lines) next(ctx context.Context, question string, secret bool) (string, error) {
	if secret {
		defer l.typist.unseen(l.out)()
	}
	stops := l.typist.stops
	if l.st.phase == working {
		stops = nil
	}
	fmt.Fprintf(l.out, "%s: ", strings.TrimSuffix(question, ":"))
	select {
	case text, more := <-l.typist.typed:
		if !more {
			return "", errEnded
		}
		return text, nil
	case <-stops:
		l.say("")
		return "", errStop
	case <-ctx.Done():
		return "", errors.Join(ctx.Err(), errors.New("nobody answered"))
	}
}

// stop asks whether everything is to end; no error: it is not.
func (l *lines) stop(ctx context.Context) error {
	for {
		rows := quitQuestion(l.st)
		l.list(rows)
		text, err := l.next(ctx, l.st.t("line.choose"), false)
		switch {
		case errors.Is(err, errStop):
			return ErrLeft
		case err != nil:
			return err
		}
		if chosen, ok := numbers(text, 2); ok && len(chosen) == 1 {
			if rows[len(rows)-2:][chosen[0]].do(l.st) == quit {
				return ErrLeft
			}
			return nil
		}
	}
}

// Say implements installer.Person.
func (l *lines) Say(format string, args ...any) { l.say("%s", l.st.say(fmt.Sprintf(format, args...))) }

// Show implements console.Shower. The text may be a secret, which no book is asked about.
func (l *lines) Show(about, text string) { l.say("\n%s\n\n  %s\n", l.st.say(about), text) }

// Ask implements installer.Person.
func (l *lines) Ask(ctx context.Context, question string) ([]byte, error) {
	typed, err := l.read(ctx, l.st.say(question), true)
	return []byte(typed), err
}

// Choose implements console.Chooser: the page about encryption has asked, or else it is
// asked now.
func (l *lines) Choose(ctx context.Context, n console.NewSecret) ([]byte, error) {
	rows := func() []row { return newSecret(l.st, n.Method, n.Least) }
	for !l.st.pair(n.Method).good(n.Least) {
		for i := range rows() {
			if err := l.input(ctx, rows()[i], func() row { return rows()[i] }); err != nil {
				return nil, fmt.Errorf("asking for the %s: %w", n.What, err)
			}
		}
	}
	return []byte(l.st.pair(n.Method).first), nil
}
