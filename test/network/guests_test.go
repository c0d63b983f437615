//go:build guest

package network

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stek-edge/stek/test/guest"
	"github.com/stek-edge/stek/test/vm"
)

// TestFullTwoGuests: a tunnel between the kernels of two guests carries data, and the one
// follows when the name of the other moves.
func TestFullTwoGuests(t *testing.T) {
	var wire vm.Wire
	stays, moves := wireGuardKey(t), wireGuardKey(t)
	start := func(role, mac, private, peer string) guest.Result {
		result, err := guest.Run(t.Context(), guest.Spec{
			Main: "./testdata/tunnelend", Args: []string{role, peer}, Stdin: []byte(private),
			Modules: []string{"wireguard"},
			Machine: vm.Machine{Memory: 256, NICs: []vm.NIC{{MAC: mac, Wire: &wire}}},
			Timeout: 8 * time.Minute,
		})
		if err != nil {
			t.Errorf("%s: %v", role, err)
		}
		return result
	}
	var one, other guest.Result
	var both sync.WaitGroup
	both.Go(func() { one = start("stays", "52:54:00:aa:00:01", stays.String(), moves.PublicKey().String()) })
	both.Go(func() { other = start("moves", "52:54:00:aa:00:02", moves.String(), stays.PublicKey().String()) })
	both.Wait()
	if one.Exit != 0 || other.Exit != 0 || !strings.Contains(string(one.Stdout), "followed to 192.168.7.3:51820\nthe tunnel carries data again") || !strings.Contains(string(other.Stdout), "moved") {
		t.Errorf("the one that stays: exit status %d\n%s%s\nthe one that moves: exit status %d\n%s%s", one.Exit, one.Stdout, one.Stderr, other.Exit, other.Stdout, other.Stderr)
	}
	for _, f := range wire.Frames() {
		if strings.Contains(string(f.Data), "hello") {
			t.Fatal("what goes through the tunnel can be read on the wire")
		}
	}
	t.Logf("%s%s", one.Stdout, other.Stdout)
}
