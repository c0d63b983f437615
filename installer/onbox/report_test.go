package onbox

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/images/fat"
	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/preseed"
)

func TestReport(t *testing.T) {
	tests := []struct {
		name    string
		outcome error
		result  string // "" for none
	}{
		{"done", nil, `{"status":0}`},
		{"failed", errors.New("the disk is gone"), `{"status":1,"message":"the disk is gone"}`},
		{"answers with faults", preseed.Faults{{Message: "no such key"}}, `{"status":2,"message":"no such key"}`},
		{"refused", fmt.Errorf("x: %w", &installer.Refusal{Status: installer.StatusRefused, Message: "m", Remedy: "r"}), `{"status":3,"message":"x: m; r","remedy":"r"}`},
		{"restart on the way", installer.ErrRestart, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			esp := t.TempDir()
			inv := &hardware.Inventory{Arch: "amd64", Board: hardware.Board{Serial: "AB/1"}}
			dir := filepath.Join(esp, "stek/reports/AB-1")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			// An earlier try ended otherwise.
			if err := os.WriteFile(filepath.Join(dir, resultFile), []byte(`{"status":9}`), 0o644); err != nil {
				t.Fatal(err)
			}
			r := newReport(esp, inv)
			a, err := preseed.Parse("a", []byte("stek: 1\nencryption: {tpm2: {pin: \"271828\"}, recovery: {show: true}}\n"))
			if err != nil {
				t.Fatal(err)
			}
			r.plan(&installer.Plan{NodeName: "box-1"}, a)
			r.event(installer.Event{Kind: installer.StepStarted, Step: "root"})
			r.event(installer.Event{Kind: installer.StepProgress, Step: "root", Done: 1, Total: 2})
			r.event(installer.Event{Kind: installer.StepDone, Step: "root"})
			want := "the report is on the stick, in stek/reports/AB-1"
			if tt.result == "" {
				want = ""
			}
			if where := r.close(tt.outcome); where != want {
				t.Errorf("%q, want %q", where, want)
			}
			got, err := os.ReadFile(filepath.Join(dir, resultFile))
			if tt.result == "" {
				if !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("result %s, %v", got, err)
				}
			} else if compact(t, got) != tt.result {
				t.Errorf("result %s, want %s", compact(t, got), tt.result)
			}
			events, err := os.ReadFile(filepath.Join(dir, "events.jsonl"))
			if err != nil || strings.Count(string(events), "\n") != 2 || strings.Contains(string(events), "progress") {
				t.Errorf("events %s, %v", events, err)
			}
			for _, name := range []string{"inventory.json", "plan.json", "answers.yaml"} {
				b, err := os.ReadFile(filepath.Join(dir, name))
				if err != nil {
					t.Error(err)
				}
				if strings.Contains(string(b), "271828") {
					t.Errorf("the PIN is in %s", name)
				}
			}
		})
	}
}

// A stick that is gone, write-protected or full takes no report; that is said, and the
// installation goes on all the same.
func TestReportWithoutAStick(t *testing.T) {
	esp := unwritable(t)
	r := newReport(esp, &hardware.Inventory{})
	r.plan(&installer.Plan{Disk: installer.DiskPlan{Chosen: hardware.Disk{Path: filepath.Join(esp, "none")}}}, &preseed.Answers{})
	r.event(installer.Event{Kind: installer.StepDone, Step: installer.StepPartition})
	r.event(installer.Event{Kind: installer.StepFailed, Step: "root"})
	if where := r.close(errors.New("the stick is gone")); where != "the report could not be written anywhere: take a picture of this screen" {
		t.Errorf("%q", where)
	}
	if len(r.faults) == 0 || !strings.Contains(string(r.told), `"step":"root"`) {
		t.Errorf("faults %v, told %s", r.faults, r.told)
	}
}

// A report that the stick did not take is nowhere until a person has it saved, and then it is
// whole; tried again, it has what came later, too.
func TestReportSavedLater(t *testing.T) {
	esp := filepath.Join(t.TempDir(), "stick")
	must(t, os.WriteFile(esp, nil, 0o600)) // in the way of everything
	r := newReport(esp, &hardware.Inventory{Board: hardware.Board{Serial: "AB/1"}})
	r.plan(&installer.Plan{NodeName: "box-1"}, &preseed.Answers{})
	r.event(installer.Event{Kind: installer.StepStarted, Step: "root"})
	lost := errors.New("the disk is gone")
	r.failed(lost)
	if where := r.where(); where != "" {
		t.Errorf("it is in %q, where nothing can be", where)
	}
	if where, err := r.save(lost); where != "" || installer.RemedyOf(err) != "take a picture of this screen" {
		t.Errorf("saved in %q: %v", where, err)
	}
	must(t, os.Remove(esp))
	for try := 1; try <= 2; try++ {
		const folder = "stek/reports/AB-1"
		if where, err := r.save(lost); where != folder || err != nil || r.where() != folder {
			t.Fatalf("saved in %q, it is in %q: %v", where, r.where(), err)
		}
		for name, holds := range map[string]string{"inventory.json": "AB/1", "plan.json": "box-1", answersFile: "stek: 1", eventsFile: `"step":"root"`, resultFile: "the disk is gone"} {
			b, err := os.ReadFile(filepath.Join(esp, folder, name))
			if err != nil || !strings.Contains(string(b), holds) {
				t.Errorf("%s: %s, %v", name, b, err)
			}
			if name == eventsFile && strings.Count(string(b), "\n") != try {
				t.Errorf("%d events in the report of try %d:\n%s", strings.Count(string(b), "\n"), try, b)
			}
		}
		r.event(installer.Event{Kind: installer.StepFailed, Step: "root"})
	}
}

// A try that the stick took down says where, and one that follows without it does not.
func TestReportIsWhereItIs(t *testing.T) {
	esp := t.TempDir()
	r := newReport(esp, &hardware.Inventory{Board: hardware.Board{Serial: "AB/1"}})
	r.failed(errors.New("the disk is gone"))
	if where := r.where(); where != "stek/reports/AB-1" {
		t.Errorf("it is in %q", where)
	}
	must(t, os.RemoveAll(esp))
	must(t, os.WriteFile(esp, nil, 0o600))
	r.failed(errors.New("the stick is gone"))
	if where := r.where(); where != "" {
		t.Errorf("it is in %q, which is gone", where)
	}
}

// The boot partition takes a report before the step that fills it has begun, and is not
// made anew from then on.
func TestReportOnAnEmptyPartition(t *testing.T) {
	for _, tt := range []struct {
		name   string
		events []installer.Event
		empty  bool
	}{
		{"not divided yet", []installer.Event{{Kind: installer.StepStarted, Step: installer.StepPartition}}, false},
		{"divided", []installer.Event{{Kind: installer.StepDone, Step: installer.StepPartition}, {Kind: installer.StepStarted, Step: installer.StepRoot}}, true},
		{"divided in an earlier try", []installer.Event{{Kind: installer.StepSkipped, Step: installer.StepPartition}}, false},
		{"which had come further than the root", []installer.Event{{Kind: installer.StepSkipped, Step: installer.StepPartition}, {Kind: installer.StepSkipped, Step: installer.StepRoot}}, false},
		{"its boot sector goes before the root", []installer.Event{{Kind: installer.StepSkipped, Step: installer.StepPartition}, {Kind: installer.StepStarted, Step: installer.StepRoot}}, true},
		{"its boot sector goes before the volume", []installer.Event{{Kind: installer.StepSkipped, Step: installer.StepPartition}, {Kind: installer.StepSkipped, Step: installer.StepRoot},
			{Kind: installer.StepStarted, Step: installer.StepState}, {Kind: installer.StepFailed, Step: installer.StepState}}, true},
		{"its file system is being made", []installer.Event{{Kind: installer.StepDone, Step: installer.StepPartition}, {Kind: installer.StepStarted, Step: installer.StepESP}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &report{}
			for _, e := range tt.events {
				r.event(e)
			}
			if r.empty != tt.empty {
				t.Errorf("empty is %v, want %v", r.empty, tt.empty)
			}
		})
	}
	device := filepath.Join(t.TempDir(), "partition")
	must(t, os.WriteFile(device, bytes.Repeat([]byte("what was there before "), 4<<20), 0o600)) // 88 MiB
	must(t, formatForReport(device))
	out, err := exec.Command("fsck.fat", "-n", device).CombinedOutput()
	if err != nil {
		t.Errorf("fsck.fat: %v: %s", err, out)
	}
}

// TestReportLeavesOthersDisks: as long as a try has changed nothing on a disk, its report
// does not either, whatever file system is where the boot partition would be.
func TestReportLeavesOthersDisks(t *testing.T) {
	in := func(step string, kinds ...installer.EventKind) (events []installer.Event) {
		for _, kind := range kinds {
			events = append(events, installer.Event{Kind: kind, Step: step})
		}
		return events
	}
	failed := in(installer.StepCheck, installer.StepStarted, installer.StepFailed)
	for _, tt := range []struct {
		name    string
		before  []installer.Event // of a try before
		events  []installer.Event
		medium  installer.Medium // that failed; "" for the stick
		changed bool
	}{
		{name: "nothing begun"},
		{name: "failed in the check", events: failed},
		{name: "failed while it was divided", events: in(installer.StepPartition, installer.StepStarted, installer.StepFailed), medium: installer.TheDisk},
		{name: "failed in the check, after a try on another disk", before: in(installer.StepPartition, installer.StepDone), events: failed},
		// That a change would be seen:
		{name: "divided, and the stick was gone then", events: in(installer.StepPartition, installer.StepStarted, installer.StepFailed), changed: true},
		{name: "taken up", events: in(installer.StepPartition, installer.StepSkipped), changed: true},
		{name: "taken up in the root", events: append(in(installer.StepPartition, installer.StepSkipped), in(installer.StepRoot, installer.StepStarted, installer.StepFailed)...), changed: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newReport(filepath.Join(unwritable(t), "stick"), &hardware.Inventory{})
			r.work = t.TempDir()
			plan := &installer.Plan{Disk: installer.DiskPlan{Chosen: hardware.Disk{Path: filepath.Join(t.TempDir(), "disk")},
				Layout: disk.Layout{Partitions: []disk.Part{{Number: 1, Name: disk.ESP}}}}}
			r.plan(plan, &preseed.Answers{})
			for _, e := range tt.before {
				r.event(e)
			}
			r.plan(plan, &preseed.Answers{})
			before := cutFAT(t, r.target)
			for _, e := range tt.events {
				r.event(e)
			}
			if tt.medium == "" {
				tt.medium = installer.TheStick
			}
			outcome := fmt.Errorf("writing: %w", &installer.MediumError{Medium: tt.medium, Err: unix.EIO})
			r.tried(outcome)
			// A file cannot be mounted, but what is done before that changes it.
			if where := r.close(outcome); where != "the report could not be written anywhere: take a picture of this screen" {
				t.Errorf("%q", where)
			}
			after, err := os.ReadFile(r.target)
			must(t, err)
			if changed := !bytes.Equal(before, after); changed != tt.changed {
				t.Errorf("changed is %v, want %v", changed, tt.changed)
			}
		})
	}
}

// unwritable is a file where a folder is needed.
func unwritable(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(name, nil, 0o600))
	return name
}

// cutFAT makes a file system with a file that a power cut has left without its clusters,
// as they are mended before one is mounted.
func cutFAT(t *testing.T, name string) []byte {
	t.Helper()
	f, err := os.Create(name)
	must(t, err)
	defer f.Close()
	must(t, f.Truncate(fat.MinSize))
	v, err := fat.Format(f, fat.MinSize, false, fat.Options{Label: "PHOTOS", Time: time.Unix(1.7e9, 0)})
	must(t, err)
	must(t, v.WriteFile("kas.jpg", make([]byte, 5000), time.Unix(1.7e9, 0)))
	b, err := os.ReadFile(name)
	must(t, err)
	le := binary.LittleEndian // Microsoft, FAT: General Overview of On-Disk Format, 3.1 and 4
	table, size := int(le.Uint16(b[11:]))*int(le.Uint16(b[14:])), int(le.Uint16(b[11:]))*int(le.Uint32(b[36:]))
	for _, first := range []int{table, table + size} {
		clear(b[first+3*4 : first+size]) // behind the root folder's cluster
	}
	must(t, os.WriteFile(name, b, 0o600))
	return b
}

// A stick without an answer file has a person asked.
func TestSilent(t *testing.T) {
	if !(&stick{esp: t.TempDir()}).silent() {
		t.Error("an empty stick has an answer file")
	}
}

// Whatever lies in place of the answer file, it is the answer file that is wrong.
func TestAnswersThatCannotBeRead(t *testing.T) {
	good := "stek: 1\nencryption: {unlock: [tpm2], recovery: {show: true}}\n"
	tests := []struct {
		name    string
		put     func(t *testing.T, path string)
		message string // "" for good answers
	}{
		{"good", write(good), ""},
		{"a folder", func(t *testing.T, path string) { must(t, os.MkdirAll(path, 0o755)) }, "stek/preseed.yaml cannot be read (is a directory)"},
		{"larger than memory", func(t *testing.T, path string) {
			write(good)(t, path)
			must(t, os.Truncate(path, 1<<40))
		}, "more than the limit"},
		{"UTF-16", write("\xff\xfes\x00t\x00e\x00k\x00"), "the file is written in UTF-16"},
		{"Latin-1", write("stek: 1\nnode: {site: K\xf6ln}\n"), "the file is not valid UTF-8 here"},
		{"a picture", write("\x89PNG\r\n\x1a\n\x00\x00"), "the file is not valid UTF-8 here"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			esp := t.TempDir()
			tt.put(t, filepath.Join(esp, filepath.FromSlash(answerFile)))
			if (&stick{esp: esp}).silent() {
				t.Error("a person would be asked in place of the file that is there")
			}
			_, err := (&stick{esp: esp}).answers(t.Context(), &hardware.Inventory{}, &typist{})
			if tt.message == "" {
				must(t, err)
				return
			}
			if err == nil || installer.StatusOf(err) != installer.StatusInvalid || !strings.Contains(err.Error(), tt.message) {
				t.Errorf("status %d: %v", installer.StatusOf(err), err)
			}
		})
	}
}

func write(content string) func(t *testing.T, path string) {
	return func(t *testing.T, path string) {
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(content), 0o644))
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func compact(t *testing.T, b []byte) string {
	t.Helper()
	var v struct {
		Status  int    `json:"status"`
		Message string `json:"message,omitempty"`
		Remedy  string `json:"remedy,omitempty"`
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	out, _ := json.Marshal(v)
	return string(out)
}

func TestReadImageFacts(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct{ name, content, version, fault string }{
		{"good.json", `{"version":"0.1.0","k3s":"v1","k3s-source":"release"}`, "0.1.0", ""},
		{"cut.json", `{"version":`, "", "reading "},
		{"none.json", "", "", "this is not a stek image"},
	} {
		path := filepath.Join(dir, tt.name)
		if tt.content != "" {
			if err := os.WriteFile(path, []byte(tt.content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		facts, err := readImageFacts(path)
		if facts.Version != tt.version || (err == nil) != (tt.fault == "") || (err != nil && !strings.HasPrefix(err.Error(), tt.fault)) {
			t.Errorf("%s: %+v, %v", tt.name, facts, err)
		}
	}
}
