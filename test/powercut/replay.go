package powercut

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// sector is what a disk writes whole or not at all, bytes.
const sector = 512

// Options say which states a replay hands out.
type Options struct {
	Dir  string // for the disks, as large as what was written to them
	Seed uint64
	// Draws is how many states with lost, reordered or torn writes are made at each
	// write, besides the two without.
	Draws int
	// Share is the part of the states that is checked, drawn with Seed: 1 for all.
	Share float64
	// Skip leaves out states whose place in the log does not matter to the check.
	Skip func(s *State) bool
}

// State is what the disks hold after a power cut. They are files, and the check may
// write to a copy of them only.
type State struct {
	Op      int    // index into Log.Ops: what was done last
	Phase   string // text of the last mark before it
	Variant string // which of the writes since the last flush are there

	player *player
	kind   drive
}

// Path is the file with the content of a disk.
func (s *State) Path(disk string) string { return s.player.disks[disk].content(s.kind).Name() }

// String names a state, so that it can be found again.
func (s *State) String() string {
	op := s.player.log.Ops()[s.Op]
	return fmt.Sprintf("after op %d (%s of %d bytes at %d of %s), in %q, %s", s.Op, op.Kind, op.Len, op.Off, op.Disk, s.Phase, s.Variant)
}

// Writes tells whether the last op is a write to a range of a disk.
func (s *State) Writes(disk string, from, to uint64) bool {
	op := s.player.log.Ops()[s.Op]
	return op.Disk == disk && op.Kind != Flush && op.Kind != Mark && op.Off < to && op.Off+op.Len > from
}

// CopyTo copies a disk of a state to a file that may be written to.
func (s *State) CopyTo(disk, name string) error {
	to, err := os.Create(name)
	if err != nil {
		return err
	}
	defer to.Close()
	d := s.player.disks[disk]
	if err := to.Truncate(int64(d.size)); err != nil {
		return err
	}
	return copyData(to, d.content(s.kind))
}

// Stats count what a replay did.
type Stats struct {
	Writes, Flushes int
	States          int // that were possible
	Checked         int // that the check has seen
}

// maxFailures ends a replay that finds the same fault everywhere.
const maxFailures = 5

// Replay rebuilds the disks after each op and has them checked. The error joins the
// first faults that the check found, each with its state.
func (l *Log) Replay(o Options, check func(s *State) error) (Stats, error) {
	p, err := newPlayer(l, o)
	if err != nil {
		return Stats{}, fmt.Errorf("replaying: %w", err)
	}
	defer p.close()
	var failures []error
	for i, op := range l.Ops() {
		err := p.play(i, op, func(s *State) error {
			if err := check(s); err != nil {
				failures = append(failures, fmt.Errorf("%s: %w", s, err))
			}
			return nil
		})
		if err != nil {
			return p.stats, fmt.Errorf("replaying op %d: %w", i, err)
		}
		if len(failures) >= maxFailures {
			break
		}
	}
	return p.stats, errors.Join(failures...)
}

// player keeps the disks at the last flush, and what came after it apart.
type player struct {
	log   *Log
	o     Options
	rand  *rand.Rand
	disks map[string]*played
	phase string
	stats Stats

	discarded bool // something, on any disk
}

// drive is what a disk makes of discards. It may do either, and a flush does not change
// that.
type drive int

const (
	discards drive = iota // returns zeros
	ignores               // returns what was there, also long after
)

type played struct {
	files   [2]*os.File // by drive; of one that ignores discards there is none before the first
	size    uint64
	pending []Op // since the last flush, in order
}

func (d *played) content(kind drive) *os.File {
	if d.files[kind] == nil {
		return d.files[discards]
	}
	return d.files[kind]
}

// write does the first n bytes of a write, on both kinds of drive.
func (d *played) write(l *Log, op Op, n uint64) error {
	for _, f := range d.files {
		if f == nil {
			continue
		}
		if err := l.write(f, op, n); err != nil {
			return err
		}
	}
	return nil
}

func newPlayer(l *Log, o Options) (*player, error) {
	p := &player{log: l, o: o, rand: rand.New(rand.NewPCG(o.Seed, 0)), disks: map[string]*played{}}
	for _, d := range l.Disks {
		f, err := image(filepath.Join(o.Dir, d.Name+".state"), d)
		if err != nil {
			p.close()
			return nil, err
		}
		p.disks[d.Name] = &played{files: [2]*os.File{discards: f}, size: d.Size}
	}
	return p, nil
}

func (p *player) close() {
	for _, d := range p.disks {
		for _, f := range d.files {
			if f != nil {
				f.Close()
				os.Remove(f.Name())
			}
		}
	}
}

// play does one op and hands out the states that a cut after it can leave.
func (p *player) play(i int, op Op, hand func(*State) error) error {
	switch op.Kind {
	case Mark:
		p.phase = op.Disk
		return nil
	case Flush:
		p.stats.Flushes++
		d := p.disks[op.Disk]
		if len(d.pending) == 0 {
			return nil
		}
		for _, w := range d.pending {
			if err := d.write(p.log, w, w.Len); err != nil {
				return err
			}
		}
		d.pending = nil
		return p.state(i, "nothing since the flush", discards, nil, hand)
	}
	p.stats.Writes++
	d := p.disks[op.Disk]
	if op.Kind != Discard {
		d.pending = append(d.pending, op)
	} else if err := p.discard(d, op); err != nil {
		return err
	}
	if err := p.state(i, "everything", discards, p.all(), hand); err != nil {
		return err
	}
	if op.Kind == Discard {
		if err := p.state(i, "everything", ignores, p.all(), hand); err != nil {
			return err
		}
	}
	for range p.o.Draws {
		variant, some := p.draw(op)
		if err := p.state(i, variant, p.drawDrive(), some, hand); err != nil {
			return err
		}
	}
	return nil
}

// discard takes effect at once, or on the other kind of drive never. What was written to
// the range before is gone with it, or is on the medium, with all that came before that:
// an older write to the same place must not come after it.
func (p *player) discard(d *played, op Op) (err error) {
	p.discarded = true
	if d.files[ignores] == nil {
		name := d.files[discards].Name()
		if d.files[ignores], err = image(name+".ignores", Disk{Size: d.size, From: name}); err != nil {
			return err
		}
	}
	arrived := 0
	for i, w := range d.pending {
		if w.Off < op.Off+op.Len && w.Off+w.Len > op.Off {
			arrived = i + 1
		}
	}
	for _, w := range d.pending[:arrived] {
		if err := d.write(p.log, w, w.Len); err != nil {
			return err
		}
	}
	d.pending = slices.Clone(d.pending[arrived:])
	return p.log.write(d.files[discards], op, op.Len)
}

// part is a write of which the first n bytes arrived.
type part struct {
	op Op
	n  uint64
}

// all are the writes of every disk that are not flushed.
func (p *player) all() []part {
	var all []part
	for _, d := range p.log.Disks {
		for _, w := range p.disks[d.Name].pending {
			all = append(all, part{w, w.Len})
		}
	}
	return all
}

// draw takes some of the writes that are not flushed, or only the start of the last
// one. Reordering needs nothing of its own: at the cut, what came late is missing.
func (p *player) draw(last Op) (string, []part) {
	all := p.all()
	if len(all) == 0 {
		return "everything", nil // a discard
	}
	switch p.rand.IntN(3) {
	case 0:
		if last.Kind != Write || last.Len <= sector {
			break
		}
		torn := sector * (1 + p.rand.Uint64N((last.Len-1)/sector))
		for i := range all {
			if all[i].op == last {
				all[i].n = min(torn, last.Len)
			}
		}
		return fmt.Sprintf("the last write torn after %d bytes", torn), all
	case 1:
		lost := p.rand.IntN(len(all))
		return fmt.Sprintf("write %d of %d lost", lost+1, len(all)), append(all[:lost:lost], all[lost+1:]...)
	}
	var some []part
	for _, w := range all {
		if p.rand.IntN(2) == 0 {
			some = append(some, w)
		}
	}
	return fmt.Sprintf("%d of %d writes", len(some), len(all)), some
}

// drawDrive takes the drives that ignore discards one time in three, once there was one.
func (p *player) drawDrive() drive {
	if p.discarded && p.rand.IntN(3) == 0 {
		return ignores
	}
	return discards
}

// state puts writes onto the disks, hands the state out, and takes them off again.
func (p *player) state(i int, variant string, kind drive, writes []part, hand func(*State) error) (err error) {
	p.stats.States++
	if kind == ignores {
		variant += ", on drives that ignore discards"
	}
	s := &State{Op: i, Phase: p.phase, Variant: variant, player: p, kind: kind}
	if p.o.Share < 1 && p.rand.Float64() >= p.o.Share || p.o.Skip != nil && p.o.Skip(s) {
		return nil
	}
	p.stats.Checked++
	undo := make([]func() error, 0, len(writes))
	defer func() {
		for n := len(undo) - 1; n >= 0; n-- {
			err = errors.Join(err, undo[n]())
		}
	}()
	for _, w := range writes {
		f := p.disks[w.op.Disk].content(kind)
		before := make([]byte, w.n)
		if _, err := f.ReadAt(before, int64(w.op.Off)); err != nil {
			return err
		}
		if err := p.log.write(f, w.op, w.n); err != nil {
			return err
		}
		undo = append(undo, func() error {
			_, err := f.WriteAt(before, int64(w.op.Off))
			return err
		})
	}
	return hand(s)
}

// write does the first n bytes of a write to a file.
func (l *Log) write(f *os.File, op Op, n uint64) error {
	if op.Kind == Discard || op.zero {
		err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, int64(op.Off), int64(n))
		if err == nil || !errors.Is(err, unix.EOPNOTSUPP) {
			return err
		}
	}
	data, err := l.data(op)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data[:n], int64(op.Off))
	return err
}
