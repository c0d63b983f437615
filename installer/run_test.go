package installer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stek-edge/stek/installer/preseed"
	"github.com/stek-edge/stek/test/machines"
)

// deeds records which steps were done and lets some of them fail.
type deeds struct {
	done   []string
	fail   map[string]error
	onDisk map[string]bool // what a look at the disk finds
}

func (d *deeds) work() work {
	w := work{do: map[string]doer{}, done: map[string]func(context.Context, *run) bool{}, looks: map[string]bool{StepCheck: true}}
	for _, step := range []string{StepCheck, StepEnrol, StepPartition, StepRoot, StepState, StepESP, StepReport, StepBoot} {
		w.do[step] = func(context.Context, *run) error {
			if err := d.fail[step]; err != nil {
				return err
			}
			d.done = append(d.done, step)
			return nil
		}
	}
	for _, step := range []string{StepPartition, StepRoot} {
		w.done[step] = func(context.Context, *run) bool { return d.onDisk[step] }
	}
	return w
}

func TestRun(t *testing.T) {
	const all = "check partition root state esp report boot"
	refusal := &Refusal{Status: StatusMissing, Message: "the stick is full", Remedy: "take another stick"}
	tests := []struct {
		name     string
		marked   []string // by an earlier try
		onDisk   []string
		fail     map[string]error
		canceled bool
		enrol    bool
		done     string
		status   Status
		says     string // "" for not looked at
		last     Event
	}{
		{name: "everything anew", done: all, last: Event{Kind: StepDone, Step: StepBoot}},
		{name: "taken up after the copy", marked: []string{StepPartition, StepRoot}, onDisk: []string{StepPartition, StepRoot},
			done: "check state esp report boot", last: Event{Kind: StepDone, Step: StepBoot}},
		{name: "the journal claims what the disk does not hold", marked: []string{StepPartition, StepRoot}, onDisk: []string{StepPartition},
			done: "check root state esp report boot", last: Event{Kind: StepDone, Step: StepBoot}},
		{name: "what follows a step that was done anew is stale", marked: []string{StepPartition, StepRoot}, onDisk: []string{StepRoot},
			done: all, last: Event{Kind: StepDone, Step: StepBoot}},
		{name: "on the disk but not in the journal", onDisk: []string{StepPartition, StepRoot}, done: all, last: Event{Kind: StepDone, Step: StepBoot}},
		{name: "steps with secrets are done again", marked: strings.Fields(all), onDisk: []string{StepPartition, StepRoot},
			done: "check state esp report boot", last: Event{Kind: StepDone, Step: StepBoot}},
		{name: "failure with a remedy", fail: map[string]error{StepReport: fmt.Errorf("leaving the key: %w", refusal)}, done: "check partition root state esp", status: StatusMissing,
			last: Event{Kind: StepFailed, Step: StepReport, Message: "leaving the key: the stick is full", Remedy: "take another stick"}},
		{name: "failure without one", fail: map[string]error{StepRoot: errors.New("input/output error")}, done: "check partition", status: StatusFailed,
			last: Event{Kind: StepFailed, Step: StepRoot, Message: "input/output error"}, says: "could not copy the root file system (629 MB) and compare it: input/output error"},
		{name: "stopped before", canceled: true, status: StatusAborted},
		{name: "stopped within a step", fail: map[string]error{StepRoot: fmt.Errorf("copying: %w", context.Canceled)}, done: "check partition", status: StatusAborted,
			last: Event{Kind: StepFailed, Step: StepRoot, Message: "the installation was stopped", Remedy: "start it again when you like: it begins where it can"}},
		{name: "damaged image", fail: map[string]error{StepCheck: refusal}, status: StatusMissing,
			last: Event{Kind: StepFailed, Step: StepCheck, Message: "the stick is full", Remedy: "take another stick"}, says: "the stick is full; take another stick"},
		{name: "restart", enrol: true, fail: map[string]error{StepEnrol: ErrRestart}, done: "check", status: StatusFailed, last: Event{Kind: StepDone, Step: StepEnrol}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := smallest
			if tt.enrol {
				text += "boot: {secure-boot: enrol}\n"
			}
			plan, err := Make(answers(t, text), machines.Load(t, "mini-pc"), image(), testIDs())
			if err != nil {
				t.Fatal(err)
			}
			site := &Site{StickESP: t.TempDir(), Now: clock()}
			j, err := openJournal(JournalPath(site.StickESP, plan.Box.Serial), plan.digest())
			if err != nil {
				t.Fatal(err)
			}
			for _, step := range tt.marked {
				if err := j.mark(step); err != nil {
					t.Fatal(err)
				}
			}
			d := &deeds{fail: tt.fail, onDisk: map[string]bool{}}
			for _, step := range tt.onDisk {
				d.onDisk[step] = true
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if tt.canceled {
				cancel()
			}
			var events []Event
			err = d.work().run(ctx, plan, site, func(e Event) { events = append(events, e) })
			if StatusOf(err) != tt.status || (tt.enrol && !errors.Is(err, ErrRestart)) {
				t.Errorf("status %d, want %d: %v", StatusOf(err), tt.status, err)
			}
			if tt.says != "" && err.Error() != tt.says {
				t.Errorf("it says\n%v\nand not\n%s", err, tt.says)
			}
			if got := strings.Join(d.done, " "); got != tt.done {
				t.Errorf("did %q, want %q", got, tt.done)
			}
			if tt.last.Kind == "" {
				if len(events) != 0 {
					t.Errorf("events %v", events)
				}
				return
			}
			last := events[len(events)-1]
			if last.Time.IsZero() || last.Kind != tt.last.Kind || last.Step != tt.last.Step {
				t.Errorf("last event %+v", last)
			}
			if last.Kind == StepFailed && (last.Message != tt.last.Message || last.Remedy != tt.last.Remedy) {
				t.Errorf("last event %+v, want %+v", last, tt.last)
			}
			if j, err = openJournal(JournalPath(site.StickESP, plan.Box.Serial), plan.digest()); err != nil {
				t.Fatal(err)
			}
			for _, step := range d.done {
				if !j.done[step] {
					t.Errorf("%s is not in the journal", step)
				}
			}
		})
	}
}

func TestRunRefusesAPlanWithoutImage(t *testing.T) {
	img := image()
	img.RootHash = ""
	plan, err := Make(answers(t, smallest), machines.Load(t, "mini-pc"), img, testIDs())
	if err != nil {
		t.Fatal(err)
	}
	err = Run(t.Context(), plan, &Site{StickESP: t.TempDir(), Now: clock()}, func(e Event) { t.Errorf("event %+v", e) })
	if StatusOf(err) != StatusInvalid {
		t.Errorf("%v", err)
	}
}

func TestEveryStepHasADoer(t *testing.T) {
	plan, err := Make(answers(t, smallest+"boot: {secure-boot: enrol}\n"), machines.Load(t, "mini-pc"), image(), testIDs())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, step := range plan.Steps {
		names = append(names, step.Name)
		if onMachine.do[step.Name] == nil {
			t.Errorf("nothing does %s", step.Name)
		}
	}
	if len(names) != len(onMachine.do) || !slices.Contains(names, StepEnrol) {
		t.Errorf("steps %v", names)
	}
}

func TestFileName(t *testing.T) {
	for in, want := range map[string]string{
		"": "unknown", "G6TN12345678": "G6TN12345678", "a/b\\c:d": "a-b-c-d", "../../etc": "-.-..-etc", "..": "--",
		".hidden": "-hidden", "ends.": "ends-", "1.2": "1.2", "snow man ☃": "snow-man----",
	} {
		if got := FileName(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestStatusOf(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want Status
	}{
		{"nothing", nil, StatusDone},
		{"anything", errors.New("x"), StatusFailed},
		{"a refusal within", fmt.Errorf("y: %w", &Refusal{Status: StatusRefused}), StatusRefused},
		{"faults of the answers", fmt.Errorf("z: %w", preseed.Faults{{Message: "no"}}), StatusInvalid},
	} {
		if got := StatusOf(tt.err); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}
