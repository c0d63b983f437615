package attack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/stek-edge/stek/installer/vault"
)

// tear is how far the last call of cryptsetup got when the power went.
type tear string

const (
	wholeCall tear = "after call"              // its last write is on the disk
	oneHeader tear = "between headers of call" // the first header copy is new, the second is not
	noHeader  tear = "before headers of call"  // slot areas are written or wiped, both header copies are old
)

const headerSize = 32 << 10 // of one copy

var (
	betweenCalls = []tear{wholeCall}
	everywhere   = []tear{wholeCall, oneHeader, noHeader}
)

// errCut is what a call finds when the box has no power any more.
var errCut = errors.New("the power is cut")

// cutRunner runs programs until the power goes, in or after call number last.
type cutRunner struct {
	device string
	last   int
	how    tear
	calls  int
}

func (r *cutRunner) Run(ctx context.Context, c vault.Command) ([]byte, error) {
	if r.calls++; r.calls > r.last {
		return nil, errCut
	}
	before := make([]byte, 2*headerSize)
	if err := at(r.device, func(f *os.File) error { _, err := f.ReadAt(before, 0); return err }); err != nil {
		return nil, err
	}
	out, err := vault.Exec{}.Run(ctx, c)
	if err != nil || r.calls < r.last || r.how == wholeCall {
		return out, err
	}
	from := 0
	if r.how == oneHeader {
		from = headerSize
	}
	if err := at(r.device, func(f *os.File) error { _, err := f.WriteAt(before[from:], int64(from)); return err }); err != nil {
		return nil, err
	}
	return nil, errCut
}

func at(path string, do func(f *os.File) error) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(do(f), f.Close())
}

// cutEverywhere does a change on copies of a box, and cuts the power in and after each
// call of cryptsetup. look is handed each box as the cut left it, switched off; done
// tells that the change came to its end.
func cutEverywhere(t *testing.T, b *box, how []tear, change func(b *box, m *vault.Manager) error, look func(t *testing.T, b *box, done bool)) {
	t.Helper()
	kept++
	template := b.keep(t, fmt.Sprint("life-", kept))
	for _, how := range how {
		for call := 0; ; call++ {
			if call == 0 && how != wholeCall {
				continue
			}
			done := false
			t.Run(fmt.Sprintf("cut %s %d", how, call), func(t *testing.T) {
				b := template.copy(t)
				r := &cutRunner{device: b.volume.Device, last: call, how: how}
				err := change(b, &vault.Manager{Device: b.volume.Device, Runner: r})
				if err != nil && !errors.Is(err, errCut) {
					t.Fatal(err)
				}
				done = err == nil
				b.powerOff()
				look(t, b, done)
			})
			if done || t.Failed() {
				break
			}
		}
	}
}

// kept counts the templates.
var kept int
