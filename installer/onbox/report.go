package onbox

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/preseed"
)

// report is what the stick carries home about one machine: what it is made of, what
// was planned, every event, and the answers with the secrets taken out. It is
// written as things happen, so that a machine that fails half-way has one too. A
// stick that is full or worn does not stop an installation.
type report struct {
	dir    string
	events *os.File
	faults []error
}

// resultFile says how an installation ended. It is not there while one is under way.
const resultFile = "result.json"

func newReport(esp string, inv *hardware.Inventory) *report {
	r := &report{dir: filepath.Join(esp, filepath.FromSlash(installer.ReportsPath), installer.FileName(inv.Board.Serial))}
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		r.faults = append(r.faults, err)
		return r
	}
	// What an earlier try ended with does not hold any more.
	if err := os.Remove(filepath.Join(r.dir, resultFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.faults = append(r.faults, err)
	}
	r.json("inventory.json", inv)
	var err error
	if r.events, err = os.OpenFile(filepath.Join(r.dir, "events.jsonl"), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644); err != nil {
		r.faults = append(r.faults, err)
	}
	return r
}

func (r *report) json(name string, v any) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err == nil {
		err = os.WriteFile(filepath.Join(r.dir, name), append(b, '\n'), 0o644)
	}
	if err != nil {
		r.faults = append(r.faults, err)
	}
}

func (r *report) plan(p *installer.Plan, a *preseed.Answers) {
	r.json("plan.json", p)
	if err := os.WriteFile(filepath.Join(r.dir, "answers.yaml"), preseed.Redacted(a), 0o644); err != nil {
		r.faults = append(r.faults, err)
	}
}

// event appends one event. Progress is left out: it would wear the stick for nothing.
func (r *report) event(e installer.Event) {
	if r.events == nil || e.Kind == installer.StepProgress {
		return
	}
	b, err := json.Marshal(e)
	if err == nil {
		_, err = r.events.Write(append(b, '\n'))
	}
	if err == nil {
		err = r.events.Sync()
	}
	if err != nil {
		r.faults = append(r.faults, err)
	}
}

// close ends the report with how it all ended. A restart on the way ends nothing.
func (r *report) close(outcome error) error {
	if !errors.Is(outcome, installer.ErrRestart) {
		r.result(outcome)
	}
	if r.events == nil {
		return nil
	}
	return r.events.Close()
}

func (r *report) result(outcome error) {
	result := struct {
		Status  installer.Status `json:"status"`
		Message string           `json:"message,omitempty"`
		Remedy  string           `json:"remedy,omitempty"`
		Faults  []string         `json:"report-faults,omitempty"`
	}{Status: installer.StatusOf(outcome)}
	if outcome != nil {
		result.Message, result.Remedy = outcome.Error(), installer.RemedyOf(outcome)
	}
	for _, f := range r.faults {
		result.Faults = append(result.Faults, f.Error())
	}
	r.json(resultFile, result)
}
