package builder

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"github.com/stek-edge/stek/images/component"
)

// hold waits until no other build uses the cache, whose package lists and downloads two
// builds would take from each other, and keeps it until release. The kernel lets go of it
// when a build dies.
func (o *Options) hold(ctx context.Context) (release func(), err error) {
	if err := os.MkdirAll(o.Cache, 0o755); err != nil {
		return nil, fmt.Errorf("making the cache: %w", err)
	}
	lock := flock.New(filepath.Join(o.Cache, "lock"))
	held, err := lock.TryLock()
	if err == nil && !held {
		o.Report.Send(component.Progress{Task: "waiting for another build that uses this cache"})
		_, err = lock.TryLockContext(ctx, time.Second)
	}
	if err != nil {
		return nil, fmt.Errorf("waiting for the cache %s: %w", o.Cache, err)
	}
	return func() { _ = lock.Close() }, nil
}
