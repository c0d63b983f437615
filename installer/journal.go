package installer

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/hardware"
)

// JournalPath is where the stick keeps the journal of a machine.
func JournalPath(stickESP, serial string) string {
	return filepath.Join(stickESP, "stek", "journal", FileName(serial)+".jsonl")
}

// journal remembers on the stick which steps of which plan are done. It is a file
// of JSON lines, each flushed before the next step begins; a line that a power cut
// left half-written is ignored, which costs no more than doing that step again.
type journal struct {
	path string
	plan string          // digest of the plan that the file belongs to
	done map[string]bool // steps that were finished
	ids  *disk.IDs
}

type journalLine struct {
	Plan string    `json:"plan,omitempty"`
	Step string    `json:"step,omitempty"`
	IDs  *disk.IDs `json:"ids,omitempty"` // of the table that the tries of this machine write
}

// LoadIDs returns the identities that earlier tries on this machine gave to the
// partition table, or keeps new ones in the journal: a machine that lost its power
// half-way is known again by them.
func LoadIDs(path string, random io.Reader) (disk.IDs, error) {
	j, err := openJournal(path, "")
	if err != nil {
		return disk.IDs{}, on(TheStick, err)
	}
	if j.ids != nil {
		return *j.ids, nil
	}
	ids, err := disk.NewIDs(random)
	if err != nil {
		return disk.IDs{}, err
	}
	return ids, on(TheStick, j.append(journalLine{IDs: &ids}))
}

// CloseJournal ends the journal of an installation that is complete. The next one
// on this machine begins anew, with identities of its own.
func CloseJournal(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("closing the journal: %w", err)
	}
	return nil
}

// openJournal reads the journal at path. Lines of another plan do not count: other
// answers, another image or another disk mean to begin anew.
func openJournal(path, plan string) (*journal, error) {
	j := &journal{path: path, plan: plan, done: map[string]bool{}}
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return j, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the journal of the last try: %w", err)
	}
	// A damaged line may be of any length: FAT shows old clusters after a power cut.
	for text := range bytes.Lines(content) {
		var line journalLine
		if json.Unmarshal(text, &line) != nil {
			continue
		}
		if line.IDs != nil && line.IDs.Valid() {
			j.ids = line.IDs
		}
		if line.Plan == plan && line.Step != "" {
			j.done[line.Step] = true
		}
	}
	return j, nil
}

// mark says that a step is done and returns when that is safe on the medium.
func (j *journal) mark(step string) error {
	if err := j.append(journalLine{Plan: j.plan, Step: step}); err != nil {
		return err
	}
	j.done[step] = true
	return nil
}

func (j *journal) append(line journalLine) error {
	fail := func(err error) error { return fmt.Errorf("writing the journal: %w", err) }
	if err := os.MkdirAll(filepath.Dir(j.path), 0o755); err != nil {
		return fail(err)
	}
	f, err := os.OpenFile(j.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return fail(err)
	}
	defer f.Close()
	b, err := json.Marshal(line)
	if err != nil {
		return fail(err)
	}
	// A newline first closes a line that a power cut left open.
	if _, err := f.Write(append(append([]byte{'\n'}, b...), '\n')); err != nil {
		return fail(err)
	}
	if err := f.Sync(); err != nil {
		return fail(err)
	}
	return nil
}

// digest names a plan: the same answers, image and disk give the same name. What
// is on the disk is left out, for the first steps change it, and so is its path,
// which changes between starts.
func (p *Plan) digest() string {
	q := *p
	q.Disk.Chosen = hardware.Disk{Serial: p.Disk.Chosen.Serial, WWN: p.Disk.Chosen.WWN, Size: p.Disk.Chosen.Size}
	q.Disk.Erased = nil
	q.Steps = nil // their order follows from Enrol, their words may name the path
	b, err := json.Marshal(q)
	if err != nil {
		panic(err) // plain data
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}
