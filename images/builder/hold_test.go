package builder

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/stek-edge/stek/images/component"
)

func TestOneBuildHasTheCache(t *testing.T) {
	said := make(chan string, 10)
	o := Options{Cache: filepath.Join(t.TempDir(), "new", "cache"), Report: func(p component.Progress) { said <- p.Task }}
	release, err := o.hold(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(said) > 0 {
		t.Errorf("a free cache was waited for: %s", <-said)
	}

	short, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() {
		_, err := o.hold(short)
		failed <- err
	}()
	if got := <-said; got != "waiting for another build that uses this cache" {
		t.Errorf("the second build says %q", got)
	}
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("stopped while it waits: %v", err)
	}

	next := make(chan error)
	go func() {
		again, err := o.hold(t.Context())
		if err == nil {
			again()
		}
		next <- err
	}()
	<-said
	select {
	case err := <-next:
		t.Fatalf("two builds have the cache: %v", err)
	case <-time.After(1500 * time.Millisecond):
	}
	release()
	if err := <-next; err != nil {
		t.Error(err)
	}
}
