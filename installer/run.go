package installer

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Emit takes the events of a run, in order. It must not block for long.
type Emit func(Event)

// doer carries out one step. It may be called again after a power cut at any point
// of an earlier call, and must then end in the same state.
type doer func(ctx context.Context, r *run) error

// work is what carries out the steps.
type work struct {
	do map[string]doer
	// done has the steps that a journal may skip: each one's done-ness is looked at on
	// the disk as well, since a journal is only a claim. The others are short, or hold
	// secrets that live in memory alone, and are done again.
	done map[string]func(ctx context.Context, r *run) bool
	// looks has the steps that change nothing: what follows them is not stale.
	looks map[string]bool
}

var onMachine = work{
	do: map[string]doer{
		StepCheck:     check,
		StepEnrol:     enrolKeys,
		StepPartition: partitionDisk,
		StepRoot:      copyRoot,
		StepState:     makeState,
		StepESP:       makeESP,
		StepReport:    leaveReport,
		StepBoot:      makeBootable,
	},
	done: map[string]func(ctx context.Context, r *run) bool{
		StepPartition: partitioned,
		StepRoot:      rootCopied,
	},
	looks: map[string]bool{StepCheck: true},
}

// run is one carrying-out of a plan.
type run struct {
	plan *Plan
	site *Site
	emit Emit
	step string
	keys secrets // made by StepState, used by the steps after it, never stored
	root []byte  // SHA-256 of the root file system with its tree, as StepCheck read it
}

// Run carries out a plan on a machine. It stops at the first step that fails; the
// machine then still starts from the stick, and the next Run takes up the work.
// ErrRestart means that the machine has to start from the stick again and be
// planned for again.
func Run(ctx context.Context, plan *Plan, site *Site, emit Emit) error {
	if plan.Image.RootHash == "" {
		return &Refusal{Status: StatusInvalid, Message: "this plan was made without an image, only to be looked at",
			Remedy: "start the machine from the stick with the image"}
	}
	return onMachine.run(ctx, plan, site, emit)
}

func (w work) run(ctx context.Context, plan *Plan, site *Site, emit Emit) error {
	j, err := openJournal(JournalPath(site.StickESP, plan.Box.Serial), plan.digest())
	if err != nil {
		return on(TheStick, err)
	}
	r := &run{plan: plan, site: site, emit: func(e Event) { e.Time = site.Now(); emit(e) }}
	defer r.keys.wipe()
	redo := false // once a step was done anew, what followed it is stale
	for _, step := range plan.Steps {
		if err := ctx.Err(); err != nil {
			return stopped(err)
		}
		r.step = step.Name
		if done := w.done[step.Name]; done != nil && !redo && j.done[step.Name] && done(ctx, r) {
			r.emit(Event{Kind: StepSkipped, Step: step.Name, Message: step.Words})
			continue
		}
		redo = redo || !w.looks[step.Name]
		r.emit(Event{Kind: StepStarted, Step: step.Name, Message: step.Words})
		err := w.do[step.Name](ctx, r)
		switch {
		case errors.Is(err, ErrRestart):
			r.emit(Event{Kind: StepDone, Step: step.Name, Message: step.Words})
			return err
		case errors.Is(err, context.Canceled):
			err = stopped(err)
		}
		if err != nil {
			r.emit(Event{Kind: StepFailed, Step: step.Name, Message: messageOf(err), Remedy: RemedyOf(err)})
			var refused *Refusal
			if errors.As(err, &refused) {
				return err // it says all there is to say: that the TPM cannot be used is no fault of the image
			}
			return fmt.Errorf("could not %s: %w", step.Words, err)
		}
		if err := j.mark(step.Name); err != nil {
			err = on(TheStick, err)
			r.emit(Event{Kind: StepFailed, Step: step.Name, Message: messageOf(err), Remedy: RemedyOf(err)})
			return err
		}
		r.emit(Event{Kind: StepDone, Step: step.Name, Message: step.Words})
	}
	return nil
}

func stopped(cause error) error {
	return &Refusal{Status: StatusAborted, Message: "the installation was stopped", Remedy: "start it again when you like: it begins where it can", Cause: cause}
}

// progress reports bytes, at most ten times a second.
func (r *run) progress() func(done, total uint64) {
	var last time.Time
	return func(done, total uint64) {
		now := r.site.Now()
		if done < total && now.Sub(last) < 100*time.Millisecond {
			return
		}
		last = now
		r.emit(Event{Kind: StepProgress, Step: r.step, Done: done, Total: total})
	}
}

func (r *run) note(format string, args ...any) {
	r.emit(Event{Kind: StepNote, Step: r.step, Message: fmt.Sprintf(format, args...)})
}

// FileName makes a serial number fit for FAT: what is neither letter, digit, dash
// nor dot becomes a dash, a dot at either end too (FAT drops the last one), and
// nothing becomes "unknown".
func FileName(serial string) string {
	b := []byte(serial)
	for i, c := range b {
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '-', c == '.' && i > 0 && i < len(b)-1:
		default:
			b[i] = '-'
		}
	}
	if len(b) == 0 {
		return "unknown"
	}
	return string(b)
}
