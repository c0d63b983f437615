package onbox

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/images/fat"
	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/durable"
	"github.com/stek-edge/stek/installer/fatmount"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/preseed"
)

// report is what the stick carries home about one machine: what it is made of, what
// was planned, every event, and the answers with the secrets taken out. It is
// written as things happen, so that a machine that fails half-way has one too. A
// stick that is full or worn does not stop an installation. When the stick is gone in
// the end, the report goes to the disk's boot partition, as soon as the disk is divided.
type report struct {
	dir    string // on the stick
	folder string // the same place, as a person finds it on a medium
	work   string // for a mount point

	mu      sync.Mutex // the screen saves what the steps write
	events  *os.File
	told    []byte            // the events once more, for another medium
	written map[string][]byte // so are the other files, by their names
	place   string            // where the report of the last try is; empty: nowhere
	target  string            // device of the disk's boot partition, once there is a plan
	step    string            // that was told of last
	divided bool              // the disk has the table of that plan; before, what is on it is somebody else's
	empty   bool              // that partition has no file system: made just now, or without its boot sector
	faults  []error
}

// resultFile says how an installation ended. It is not there while one is under way.
const resultFile = "result.json"

const eventsFile = "events.jsonl"

// answersFile has the answers without their secrets.
const answersFile = "answers.yaml"

func newReport(esp string, inv *hardware.Inventory) *report {
	folder := installer.ReportsPath + "/" + installer.FileName(inv.Board.Serial)
	r := &report{folder: folder, work: workDir, written: map[string][]byte{}, dir: filepath.Join(esp, filepath.FromSlash(folder))}
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		r.faults = append(r.faults, err)
	}
	// What an earlier try ended with does not hold any more.
	if err := os.Remove(filepath.Join(r.dir, resultFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.faults = append(r.faults, err)
	}
	r.json("inventory.json", inv)
	var err error
	if r.events, err = os.OpenFile(filepath.Join(r.dir, eventsFile), os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o644); err != nil {
		r.faults = append(r.faults, err)
	}
	return r
}

func (r *report) json(name string, v any) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		r.faults = append(r.faults, err)
		return
	}
	r.write(name, append(b, '\n'))
}

// write writes a file to the stick, and keeps it for another medium.
func (r *report) write(name string, content []byte) {
	r.written[name] = content
	if err := os.WriteFile(filepath.Join(r.dir, name), content, 0o644); err != nil {
		r.faults = append(r.faults, err)
	}
}

func (r *report) plan(p *installer.Plan, a *preseed.Answers) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.target, r.step, r.divided, r.empty = "", "", false, false
	if esp, ok := p.Disk.Layout.Part(disk.ESP); ok {
		r.target = disk.PartitionPath(p.Disk.Chosen.Path, esp.Number)
	}
	r.json("plan.json", p)
	r.write(answersFile, preseed.Redacted(a))
}

// event appends one event. Progress is left out: it would wear the stick for nothing.
func (r *report) event(e installer.Event) {
	if e.Kind == installer.StepProgress {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.follow(e)
	b, err := json.Marshal(e)
	if err == nil {
		b = append(b, '\n')
		r.told = append(r.told, b...)
	}
	if err == nil && r.events != nil {
		if _, err = r.events.Write(b); err == nil {
			err = r.events.Sync()
		}
	}
	if err != nil {
		r.faults = append(r.faults, err)
	}
}

// follow keeps what has become of the disk's boot partition.
func (r *report) follow(e installer.Event) {
	r.step = e.Step
	switch e.Step {
	case installer.StepPartition:
		r.divided = e.Kind == installer.StepDone || e.Kind == installer.StepSkipped
		r.empty = e.Kind == installer.StepDone
	case installer.StepRoot, installer.StepState:
		if e.Kind == installer.StepStarted {
			r.empty = true // both take away what an earlier try made bootable
		}
	case installer.StepESP:
		r.empty = false
	}
}

// tried takes in how a try ended. Of the step that divides the disk only the journal is on
// the stick, and that is written when the disk is divided.
func (r *report) tried(outcome error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var failed *installer.MediumError
	if r.step == installer.StepPartition && errors.As(outcome, &failed) && failed.Medium == installer.TheStick {
		r.divided, r.empty = true, true
	}
}

// close ends the report with how it all ended, and tells where a person finds it. A
// restart on the way ends nothing.
func (r *report) close(outcome error) (where string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var closing error
	if r.events != nil {
		closing = r.events.Close()
	}
	if errors.Is(outcome, installer.ErrRestart) {
		return ""
	}
	if closing != nil {
		r.faults = append(r.faults, closing)
	}
	if err := r.leave(r.dir, outcome); err == nil {
		return "the report is on the stick, in " + r.folder
	} else {
		r.faults = append(r.faults, err)
	}
	if err := r.leaveOnDisk(outcome); err == nil {
		return "the stick could not be written, so the report is on the disk's boot partition, in " + r.folder
	}
	return "the report could not be written anywhere: take a picture of this screen"
}

// failed writes down how a try ended that may be followed by another one.
func (r *report) failed(outcome error) {
	if errors.Is(outcome, installer.ErrRestart) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	leave := r.leave
	if len(r.faults) > 0 {
		leave = r.leaveAll // something is not there that should be
	}
	r.place = r.folder
	if err := leave(r.dir, outcome); err != nil {
		r.faults, r.place = append(r.faults, err), ""
	}
}

// where tells where a person finds the report of the last try that failed; empty: nowhere.
func (r *report) where() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.place
}

// save writes the report anew after a try that failed, all of it, and tells where.
func (r *report) save(outcome error) (where string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	onStick := r.leaveAll(r.dir, outcome)
	if onStick == nil {
		r.place = r.folder
		return r.place, nil
	}
	if onDisk := r.leaveOnDisk(outcome); onDisk != nil {
		return "", &installer.Refusal{Status: installer.StatusFailed, Message: "the report could not be written anywhere", Cause: errors.Join(onStick, onDisk), Remedy: "take a picture of this screen"}
	}
	r.place = r.folder + " on the disk's boot partition"
	return r.place, nil
}

// leaveOnDisk writes the report to the boot partition of the disk. Where the step that
// makes its file system has not begun, one is made here for the report: that step makes
// another, and without a boot loader nothing starts from it. Before the disk is divided
// there is no place: whose boot partition that is, and what is on it, nobody has asked.
func (r *report) leaveOnDisk(outcome error) (err error) {
	if r.target == "" || !r.divided {
		return errors.New("the disk is not divided")
	}
	dir, err := os.MkdirTemp(r.work, "report-")
	if err != nil {
		return err
	}
	defer os.Remove(dir)
	if r.empty {
		if err := formatForReport(r.target); err != nil {
			return err
		}
	}
	if _, err := fatmount.Mount(r.target, dir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.Unmount(dir, 0)) }()
	return r.leaveAll(filepath.Join(dir, filepath.FromSlash(r.folder)), outcome)
}

// formatForReport makes a file system without any program of the system's: they lie on the
// stick, which is gone.
func formatForReport(device string) error {
	f, err := os.OpenFile(device, os.O_RDWR|unix.O_EXCL, 0)
	if err != nil {
		return err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = fat.Format(f, size, true, fat.Options{Label: disk.ESPLabel, Serial: rand.Uint32(), Time: time.Now()})
	}
	return errors.Join(err, f.Sync(), f.Close())
}

// leaveAll writes everything to a folder. What is there already stays whole meanwhile.
func (r *report) leaveAll(dir string, outcome error) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(r.written)) {
		if err := durable.WriteFile(filepath.Join(dir, name), r.written[name], 0o644); err != nil {
			return err
		}
	}
	if dir != r.dir || r.events == nil { // each event is written there when it comes
		if err := durable.WriteFile(filepath.Join(dir, eventsFile), r.told, 0o644); err != nil {
			return err
		}
	}
	return r.leave(dir, outcome)
}

// leave writes the result to a folder, the last of all.
func (r *report) leave(dir string, outcome error) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	b, err := json.MarshalIndent(r.result(outcome), "", "  ")
	if err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(dir, resultFile), append(b, '\n'), 0o644)
}

type result struct {
	Status  installer.Status `json:"status"`
	Message string           `json:"message,omitempty"`
	Remedy  string           `json:"remedy,omitempty"`
	Faults  []string         `json:"report-faults,omitempty"`
}

func (r *report) result(outcome error) result {
	out := result{Status: installer.StatusOf(outcome)}
	if outcome != nil {
		out.Message, out.Remedy = outcome.Error(), installer.RemedyOf(outcome)
	}
	for _, f := range r.faults {
		out.Faults = append(out.Faults, f.Error())
	}
	return out
}
