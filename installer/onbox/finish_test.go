package onbox

import (
	"context"
	"errors"
	"testing"
)

// systemd stops this service before systemctl has ended: the machine was installed all
// the same, and must not say that it was not.
func TestLeave(t *testing.T) {
	failed := errors.New("signal: terminated")
	for _, tt := range []struct {
		name    string
		stopped bool  // the service, while systemctl runs
		err     error // of systemctl
		want    error
	}{
		{"asked", false, nil, nil},
		{"systemctl was stopped as well", true, failed, nil},
		{"only the service was stopped", true, nil, nil},
		{"systemctl fails", false, failed, failed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			err := leaveBy(ctx, runner(func(ctx context.Context) error {
				if tt.stopped {
					stop()
				}
				if ctx.Err() != nil {
					t.Error("systemctl is stopped by the end that it asks for")
				}
				return tt.err
			}), "reboot")
			if !errors.Is(err, tt.want) {
				t.Errorf("leaving: %v, want %v", err, tt.want)
			}
		})
	}
}

type runner func(ctx context.Context) error

func (r runner) Run(ctx context.Context, _ []byte, _ string, _ ...string) ([]byte, error) {
	return nil, r(ctx)
}
