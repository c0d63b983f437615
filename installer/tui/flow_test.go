package tui

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/exp/teatest/v2"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/console"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/preseed"
	"github.com/stek-edge/stek/test/machines"
)

// flow is a person at a running program: keys go in, and what is on the screen is read back
// from what a terminal would get.
type flow struct {
	t  *testing.T
	tm *teatest.TestModel
}

func begun(t *testing.T, s Session) *flow {
	t.Helper()
	a := newApp(t.Context(), s, look{ascii: true, mono: true})
	var tm *teatest.TestModel
	running := make(chan struct{})
	a.send = func(m tea.Msg) {
		<-running
		tm.Send(m)
	}
	tm = teatest.NewTestModel(t, a, teatest.WithInitialTermSize(leastWidth, leastHeight))
	close(running)
	return &flow{t, tm}
}

// sees waits for texts on the screen. A frame is drawn by what has changed on it, so it is
// asked for anew, and blanks may be movements of the cursor.
func (f *flow) sees(texts ...string) {
	f.t.Helper()
	bare := func(s string) string { return strings.Join(strings.Fields(s), "") }
	var seen string
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		f.tm.Send(keyNamed("ctrl+l"))
		time.Sleep(50 * time.Millisecond)
		b, err := io.ReadAll(f.tm.Output())
		if err != nil {
			f.t.Fatal(err)
		}
		seen = ansi.Strip(string(b))
		missing := false
		for _, text := range texts {
			missing = missing || !strings.Contains(bare(seen), bare(text))
		}
		if !missing {
			return
		}
	}
	f.t.Fatalf("%q is not on the screen:\n%s", texts, seen)
}

func (f *flow) keys(names ...string) {
	for _, name := range names {
		f.tm.Send(keyNamed(name))
	}
}

func (f *flow) types(text string) {
	for _, r := range text {
		f.tm.Send(keyNamed(string(r)))
	}
}

// ends waits until the program has ended, and gives its state.
func (f *flow) ends() *state {
	f.t.Helper()
	return f.tm.FinalModel(f.t, teatest.WithFinalTimeout(10*time.Second)).(*app).st
}

const freeDisk = "S676NF0R412345" // of the machine raid-server

// toReviewWithPIN goes from the first page to the review: the free disk, a PIN, no network.
func (f *flow) toReviewWithPIN(pin string) {
	f.t.Helper()
	f.sees("1/7")
	f.keys("enter")
	f.sees("2/7")
	f.keys("enter")
	f.sees("3/7", "choose a disk first")
	f.keys("enter", "down", "enter")
	f.sees("4/7")
	f.keys("up", "up", "up", "enter", "down")
	f.types(pin)
	f.keys("enter")
	f.types(pin)
	f.keys("down", "down", "down", "enter")
	f.sees("5/7")
	f.keys("home", "down", "down", "enter", "end", "enter")
	f.sees("6/7")
	f.keys("enter")
	f.sees("7/7")
}

// confirms types the end of the disk's serial number and starts.
func (f *flow) confirms() {
	f.types("2345")
	f.keys("enter", "enter")
}

// tries is an installation that asks for a PIN, as the step that seals it does, and then ends
// as it is told: each try in its own way.
type tries struct {
	ends  []func(ctx context.Context) error
	pins  []string
	paths []string
}

func (i *tries) install(ctx context.Context, a *preseed.Answers, p *installer.Plan, person installer.Person, emit installer.Emit) error {
	try := len(i.pins)
	emit(installer.Event{Kind: installer.StepStarted, Step: installer.StepRoot})
	pin := []byte(a.Encryption.TPM2.PIN.Reveal())
	if string(pin) == "ask" {
		var err error
		if pin, err = (console.NewSecret{Method: "tpm2", What: "PIN of this box", Least: preseed.MinPIN}).From(ctx, person); err != nil {
			return err
		}
	}
	i.pins, i.paths = append(i.pins, string(pin)), append(i.paths, p.Disk.Chosen.Path)
	return i.ends[try](ctx)
}

func succeeds(context.Context) error { return nil }

func fails(context.Context) error {
	return &installer.Refusal{Status: installer.StatusFailed, Message: "the disk does not answer", Remedy: "check how the disk is fitted"}
}

func TestFlowToTheEnd(t *testing.T) {
	i := &tries{ends: []func(context.Context) error{succeeds}}
	s := session(t, "raid-server")
	s.Install = i.install
	f := begun(t, s)
	f.toReviewWithPIN("kas 4711")
	f.sees("PgDn")
	f.confirms()
	f.sees("This machine is installed", "stek-s497015x2712345")
	f.keys("enter")
	st := f.ends()
	if st.outcome != nil || len(i.pins) != 1 || i.pins[0] != "kas 4711" {
		t.Errorf("outcome %v, PINs %q", st.outcome, i.pins)
	}
	if st.draft.one("network.offline") != "true" || st.draft.one("encryption.tpm2.pin") != "ask" {
		t.Errorf("answers: %v", st.draft.values)
	}
}

// Going back to the first page and forth again by Enter alone keeps every answer.
func TestFlowBack(t *testing.T) {
	i := &tries{ends: []func(context.Context) error{succeeds}}
	s := session(t, "raid-server")
	s.Install = i.install
	f := begun(t, s)
	f.toReviewWithPIN("kas 4711")
	for _, page := range []string{"6/7", "5/7", "4/7", "3/7", "2/7", "1/7"} {
		f.keys("esc")
		f.sees(page)
	}
	f.keys("esc") // there is nothing before the first
	for _, page := range []string{"2/7", "3/7", "4/7", "5/7", "6/7", "7/7"} {
		f.keys("enter")
		f.sees(page)
	}
	f.confirms()
	f.sees("This machine is installed")
	f.keys("enter")
	if f.ends(); len(i.pins) != 1 || i.pins[0] != "kas 4711" {
		t.Errorf("PINs %q", i.pins)
	}
}

// After a failure the answers can be changed; what was typed, secrets and consent included,
// is there, and the next try needs nothing but Enter.
func TestFlowFailureChangeRetry(t *testing.T) {
	i := &tries{ends: []func(context.Context) error{fails, fails, succeeds}}
	s := session(t, "raid-server")
	s.Install, s.Report = i.install, func() string { return "stek/reports/S1" }
	f := begun(t, s)
	f.toReviewWithPIN("kas 4711")
	f.confirms()
	f.sees("the disk does not answer", "check how the disk is fitted", "stek/reports/S1")
	f.keys("enter") // try again
	f.sees("the disk does not answer")
	f.keys("down", "enter") // change the answers
	for _, page := range []string{"3/7", "4/7", "5/7", "6/7"} {
		f.sees(page)
		f.keys("enter")
	}
	f.sees("7/7")
	f.keys("enter") // what was typed to consent holds: Install has the focus
	f.sees("This machine is installed")
	f.keys("enter")
	if st := f.ends(); st.outcome != nil || strings.Join(i.pins, "|") != "kas 4711|kas 4711|kas 4711" {
		t.Errorf("outcome %v, PINs %q", st.outcome, i.pins)
	}
}

// A disk that was pulled and comes back under another name is the disk that was agreed to;
// a machine that has lost it says so.
func TestFlowDiskComesBack(t *testing.T) {
	i := &tries{ends: []func(context.Context) error{fails, succeeds}}
	s := session(t, "raid-server")
	s.Install = i.install
	looks := 0
	s.Look = func(context.Context) (*hardware.Inventory, error) {
		inv := machines.Load(t, "raid-server")
		looks++
		for n := range inv.Disks {
			if inv.Disks[n].Serial != freeDisk {
				continue
			}
			if looks == 1 {
				inv.Disks[n].Serial, inv.Disks[n].Model = "OTHER", "another disk"
			}
			inv.Disks[n].Path = "/dev/nvme7n1"
		}
		return inv, nil
	}
	f := begun(t, s)
	f.toReviewWithPIN("kas 4711")
	f.confirms()
	f.sees("the disk does not answer")
	f.keys("enter")
	f.sees("no disk")
	f.keys("enter")
	f.sees("This machine is installed")
	f.keys("enter")
	if f.ends(); len(i.paths) != 2 || i.paths[1] != "/dev/nvme7n1" {
		t.Errorf("disks: %q", i.paths)
	}
}

// Ctrl-C asks, and a yes ends what the steps do; they have ended before the page says so.
func TestFlowCancel(t *testing.T) {
	stopped := make(chan struct{})
	i := &tries{ends: []func(context.Context) error{func(ctx context.Context) error {
		<-ctx.Done()
		close(stopped)
		return ctx.Err()
	}}}
	s := session(t, "raid-server")
	s.Install = i.install
	f := begun(t, s)
	f.toReviewWithPIN("kas 4711")
	f.confirms()
	f.sees("Installing")
	f.keys("q")
	f.sees("Stop the installation?")
	f.keys("esc") // no
	f.sees("Installing")
	f.keys("ctrl+c", "down", "enter")
	f.sees("Not installed")
	select {
	case <-stopped:
	default:
		t.Fatal("the page says that it has ended, and it has not")
	}
	f.keys("ctrl+c", "down", "enter")
	if st := f.ends(); !errors.Is(st.outcome, context.Canceled) {
		t.Errorf("outcome %v", st.outcome)
	}
}

// asked is a session by an answer file that leaves the name to a person, on a machine whose
// disk is empty, or not.
func asked(t *testing.T, empty bool, i *tries) Session {
	a, err := preseed.Parse("site.yaml", []byte("stek: 1\nask: [node.name]\ndisk: {match: {serial: "+freeDisk+"}, erase: true}\nencryption: {tpm2: {pin: 4711-4712}, recovery: {show: true}}\nk3s: {labels: {hall: \"7\"}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	s := session(t, "raid-server")
	s.Values, s.Ask, s.Install = preseed.Flatten(preseed.Defaults(a)), a.Ask, i.install
	for n := range s.Inventory.Disks {
		if d := &s.Inventory.Disks[n]; d.Serial == freeDisk && empty {
			d.Partitions, d.Table, d.TableGUID, d.Content = nil, "", "", ""
		}
	}
	return s
}

// An answer file that leaves a little to a person: that page and the review, and where nothing
// is erased it begins by itself.
func TestFlowAsk(t *testing.T) {
	for _, tt := range []struct {
		name    string
		empty   bool
		stopped bool
	}{
		{"begins by itself", true, false},
		{"a key stops the countdown", true, true},
		{"something is erased", false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := &tries{ends: []func(context.Context) error{succeeds}}
			f := begun(t, asked(t, tt.empty, i))
			f.sees("1/2", "Node")
			f.keys("up", "up", "up", "up", "up", "up", "up", "up", "up", "ctrl+u")
			f.types("hall-9")
			f.keys("down", "down", "down", "down", "down", "down", "down", "down", "down", "enter")
			if tt.empty && !tt.stopped {
				for range countdown + 2 {
					f.tm.Send(secondMsg{})
				}
			} else {
				f.keys("pgdown")
				f.sees("2/2")
				f.keys("pgdown")
				f.sees("type 2345 here first")
				for range countdown + 2 {
					f.tm.Send(secondMsg{})
				}
				f.sees("2/2", "type 2345 here first")
				f.keys("up", "up", "up")
				f.confirms()
			}
			f.sees("This machine is installed", "hall-9")
			f.keys("enter")
			st := f.ends()
			if a, err := st.answers(); err != nil || a.K3s.Labels["hall"] != "7" || a.Encryption.TPM2.PIN.Reveal() != "4711-4712" {
				t.Errorf("the rest of the file: %v", err)
			}
			if saved := string(preseed.Redacted(st.compose().given)); strings.Contains(saved, "4711") {
				t.Errorf("a secret would be saved:\n%s", saved)
			}
		})
	}
}
