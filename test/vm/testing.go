package vm

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// ArtifactsEnv names the environment variable with the directory where failed tests
// leave their logs and pictures.
const ArtifactsEnv = "STEK_ARTIFACTS"

// Start powers on a machine for a test, with a temporary Dir unless it has one. At the
// end of the test the box is closed; if the test failed, its logs and a picture of its
// screen are kept in $STEK_ARTIFACTS, or else in a temporary directory that is named in
// the test's output.
func Start(t testing.TB, m Machine) *Box {
	t.Helper()
	if m.Dir == "" {
		m.Dir = t.TempDir()
	}
	// The test's own context ends before its cleanups run, which would take the power
	// before the picture is taken.
	box, err := m.PowerOn(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			box.keepFor(t)
		}
		if err := box.Close(); err != nil {
			t.Error(err)
		}
	})
	return box
}

func (b *Box) keepFor(t testing.TB) {
	base := os.Getenv(ArtifactsEnv)
	if base == "" {
		var err error
		if base, err = os.MkdirTemp("", "stek-artifacts-"); err != nil {
			t.Errorf("keeping the logs: %v", err)
			return
		}
	}
	dir := filepath.Join(base, regexp.MustCompile(`[^A-Za-z0-9_.-]+`).ReplaceAllString(t.Name(), "_"))
	if err := b.Keep(dir); err != nil {
		t.Errorf("keeping the logs: %v", err)
		return
	}
	t.Logf("logs of the virtual box are in %s", dir)
}

// Keep copies the logs of this power-on into a directory below dir that is named after
// the power-on, with a picture of the screen if there is one and the box still runs.
func (b *Box) Keep(dir string) error {
	to := filepath.Join(dir, filepath.Base(b.Logs))
	if err := os.RemoveAll(to); err != nil {
		return fmt.Errorf("keeping the logs: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("keeping the logs: %w", err)
	}
	if err := os.CopyFS(to, os.DirFS(b.Logs)); err != nil {
		return fmt.Errorf("keeping the logs: %w", err)
	}
	if b.Machine.Screen && !b.Off() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		return b.Screenshot(ctx, filepath.Join(to, "screen.png"))
	}
	return nil
}
