package vault

import (
	"context"
	"fmt"
)

// SetLabel changes the volume's LUKS2 label, which says to people and to other
// installers what the volume is. LUKS2 keeps two copies of its header, so a power
// cut leaves the old label or the new one.
func (m *Manager) SetLabel(ctx context.Context, label string) error {
	if _, err := m.cryptsetup().call(ctx, nil, nil, "config", "--label", label, m.Device); err != nil {
		return fmt.Errorf("naming the encrypted volume: %w", err)
	}
	return nil
}
