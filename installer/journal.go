package installer

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// journal remembers on the stick which steps of which plan are done. It is a file
// of JSON lines, each flushed before the next step begins; a line that a power cut
// left half-written is ignored, which costs no more than doing that step again.
type journal struct {
	path string
	plan string          // digest of the plan that the file belongs to
	done map[string]bool // steps that were finished
}

type journalLine struct {
	Plan string `json:"plan"`
	Step string `json:"step"`
}

// openJournal reads the journal at path. Lines of another plan do not count: other
// answers, another image or another disk mean to begin anew.
func openJournal(path, plan string) (*journal, error) {
	j := &journal{path: path, plan: plan, done: map[string]bool{}}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return j, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the journal of the last try: %w", err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		var line journalLine
		if json.Unmarshal(s.Bytes(), &line) == nil && line.Plan == plan {
			j.done[line.Step] = true
		}
	}
	return j, nil
}

// mark says that a step is done and returns when that is safe on the medium.
func (j *journal) mark(step string) error {
	if err := os.MkdirAll(filepath.Dir(j.path), 0o755); err != nil {
		return fmt.Errorf("writing the journal: %w", err)
	}
	f, err := os.OpenFile(j.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("writing the journal: %w", err)
	}
	defer f.Close()
	b, err := json.Marshal(journalLine{j.plan, step})
	if err != nil {
		return err
	}
	// A newline first closes a line that a power cut left open.
	if _, err := f.Write(append(append([]byte{'\n'}, b...), '\n')); err != nil {
		return fmt.Errorf("writing the journal: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("writing the journal: %w", err)
	}
	j.done[step] = true
	return nil
}

// digest names a plan: the same answers, image and disk give the same name. The
// device's path is left out, for it changes between starts.
func (p *Plan) digest() string {
	q := *p
	q.Disk.Path = ""
	b, err := json.Marshal(q)
	if err != nil {
		panic(err) // plain data
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}
