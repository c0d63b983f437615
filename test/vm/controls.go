package vm

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// These are the things a person can do to a running box without its console.

// Reset presses the reset button.
func (b *Box) Reset(ctx context.Context) error { return b.QMP.Do(ctx, "system_reset", nil, nil) }

// PowerButton presses the power button (ACPI); whether anything follows is up to the guest.
func (b *Box) PowerButton(ctx context.Context) error {
	return b.QMP.Do(ctx, "system_powerdown", nil, nil)
}

// Pause stops the processors; the clock of the guest stands still.
func (b *Box) Pause(ctx context.Context) error { return b.QMP.Do(ctx, "stop", nil, nil) }

// Resume lets them go on.
func (b *Box) Resume(ctx context.Context) error { return b.QMP.Do(ctx, "cont", nil, nil) }

// Status gives QEMU's run state: "running", "paused", "shutdown", … (RunState in
// qapi/run-state.json).
func (b *Box) Status(ctx context.Context) (string, error) {
	var answer struct {
		Status string `json:"status"`
	}
	if err := b.QMP.Do(ctx, "query-status", nil, &answer); err != nil {
		return "", err
	}
	return answer.Status, nil
}

// WaitReset waits for the next reset (a reboot of the guest, or Reset) that an earlier
// WaitReset has not reported yet. Firmware may reset once more by itself: SeaBIOS does so
// after each reset, OVMF does not.
func (b *Box) WaitReset(ctx context.Context) error {
	b.mu.Lock()
	since := b.resets
	b.mu.Unlock()
	_, next, err := b.QMP.WaitEvent(ctx, since, func(e Event) bool { return e.Name == "RESET" })
	b.mu.Lock()
	b.resets = max(b.resets, next)
	b.mu.Unlock()
	if err != nil {
		return fmt.Errorf("waiting for a reset: %w", err)
	}
	return nil
}

// Pull pulls a stick, named as in Machine.Disks, while it may be in use. It returns when
// the guest's port is empty.
func (b *Box) Pull(ctx context.Context, name string) error {
	d, err := b.stick(name)
	if err != nil {
		return err
	}
	since := len(b.QMP.Events())
	if err := b.QMP.Do(ctx, "device_del", map[string]any{"id": d.deviceID()}, nil); err != nil {
		return fmt.Errorf("pulling %s: %w", name, err)
	}
	_, _, err = b.QMP.WaitEvent(ctx, since, func(e Event) bool {
		return e.Name == "DEVICE_DELETED" && e.Data["device"] == d.deviceID()
	})
	if err != nil {
		return fmt.Errorf("pulling %s: %w", name, err)
	}
	return nil
}

// Plug plugs a stick that was pulled, or that has Unplugged set.
func (b *Box) Plug(ctx context.Context, name string) error {
	d, err := b.stick(name)
	if err != nil {
		return err
	}
	device := map[string]any{"driver": "usb-storage", "id": d.deviceID(), "bus": "xhci.0", "drive": d.Name, "removable": true}
	if d.Serial != "" {
		device["serial"] = d.Serial
	}
	if d.BlockSize != 0 {
		device["logical_block_size"], device["physical_block_size"] = d.BlockSize, d.BlockSize
	}
	if err := b.QMP.Do(ctx, "device_add", device, nil); err != nil {
		return fmt.Errorf("plugging %s: %w", name, err)
	}
	return nil
}

func (b *Box) stick(name string) (Disk, error) {
	d, ok := b.Machine.disk(name)
	if !ok {
		return d, fmt.Errorf("the machine has no disk %s", name)
	}
	if d.Bus != USB {
		return d, fmt.Errorf("%s is on bus %s: only a USB stick can be pulled and plugged", name, d.Bus)
	}
	return d, nil
}

// Press presses keys of the box's own keyboard, one after another, by QEMU's names of
// the places where they are on a US keyboard ("y", "slash"). Keys that are held
// together are joined by a plus sign: "alt_r+q".
func (b *Box) Press(ctx context.Context, keys ...string) error {
	for _, together := range keys {
		var codes []map[string]string
		for name := range strings.SplitSeq(together, "+") {
			codes = append(codes, map[string]string{"type": "qcode", "data": name})
		}
		if err := b.QMP.Do(ctx, "send-key", map[string]any{"keys": codes}, nil); err != nil {
			return fmt.Errorf("pressing %s: %w", together, err)
		}
		// QEMU lets a key go after 100 ms; the next one must not come before that.
		select {
		case <-time.After(250 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Screenshot writes the screen to a PNG file. The machine needs a Screen.
func (b *Box) Screenshot(ctx context.Context, path string) error {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("taking a picture of the screen: %w", err)
	}
	err = b.QMP.Do(ctx, "screendump", map[string]any{"filename": absolute, "format": "png"}, nil)
	if err != nil {
		return fmt.Errorf("taking a picture of the screen: %w", err)
	}
	return nil
}

// Uptime is the time since power-on; lines of the console count the same way.
func (b *Box) Uptime() time.Duration { return time.Since(b.PoweredOn) }
