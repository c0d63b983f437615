package powercut

import (
	"fmt"
	"os"
	"slices"
	"sync"
)

// Op is one thing that happened to a disk.
type Op struct {
	Kind OpKind
	Disk string // name of the disk; of a mark its text
	Off  uint64 // bytes
	Len  uint64 // bytes

	at   int64 // of the data in the spool
	zero bool  // all zeros, of which the spool has none
}

// OpKind tells what an Op did.
type OpKind string

// The kinds. After a discard what is read from the range is not defined; while it is
// recorded a disk returns zeros, as most do.
const (
	Write   OpKind = "write"
	Discard OpKind = "discard"
	Flush   OpKind = "flush" // everything written to the disk before is on the medium
	Mark    OpKind = "mark"  // the test said something
)

// Log is what happened to the disks of a Recorder, in order.
type Log struct {
	Disks []Disk
	spool *os.File // what was written, one after the other

	mu  sync.Mutex // the kernel's requests come from many threads
	ops []Op
	end int64 // of the spool
}

// Ops is what has happened so far.
func (l *Log) Ops() []Op {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.ops)
}

// Disk is one disk of a Recorder.
type Disk struct {
	Name string
	Size uint64 // bytes
	From string // image file with what is on it in the beginning; "" for zeros
}

func (l *Log) add(op Op, data []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if op.Kind == Write {
		if op.zero = zero(data); !op.zero {
			op.at = l.end
			if _, err := l.spool.WriteAt(data, l.end); err != nil {
				return err
			}
			l.end += int64(len(data))
		}
	}
	l.ops = append(l.ops, op)
	return nil
}

// data reads back what an Op wrote.
func (l *Log) data(op Op) ([]byte, error) {
	b := make([]byte, op.Len)
	if op.zero || op.Kind == Discard {
		return b, nil
	}
	if _, err := l.spool.ReadAt(b, op.at); err != nil {
		return nil, fmt.Errorf("reading the log: %w", err)
	}
	return b, nil
}

// Count tells how many writes, discards and flushes there are.
func (l *Log) Count() (writes, discards, flushes int) {
	for _, op := range l.Ops() {
		switch op.Kind {
		case Write:
			writes++
		case Discard:
			discards++
		case Flush:
			flushes++
		}
	}
	return writes, discards, flushes
}

func zero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
