//go:build linux

package network

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/wgctrl"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/stek-edge/stek/installer/network"
	"github.com/stek-edge/stek/installer/network/endpoint"
	"github.com/stek-edge/stek/installer/preseed"
	"github.com/stek-edge/stek/test/lan"
)

// TestHubMoves: the hub gets another address, its name follows, and data go through the
// tunnel again within two minutes, by what runs on a node and as often as there.
func TestHubMoves(t *testing.T) {
	s := lan.New(t)
	card := s.Cable(t, "eth0", "192.168.7.1/24")
	card.Address(t, "192.168.7.20/24", "192.168.7.1")
	names := s.DNS(t, "192.168.7.1", lan.Names{"hub.example.org": "203.0.113.10"})
	nameServer(t, "192.168.7.1")

	// As most sites do: nothing comes in that was not asked for. Otherwise the hub would
	// call the box from its new address, and WireGuard itself would learn it.
	s.Command(t, "iptables", "-w", "-A", "FORWARD", "-i", "to-office", "-m", "conntrack", "!", "--ctstate", "ESTABLISHED", "-j", "DROP")

	own, hub := wireGuardKey(t), wireGuardKey(t)
	office := lan.New(t)
	s.Wire(t, office, "to-office", "203.0.113.1/24", "203.0.113.10/24")
	office.WireGuard(t, lan.WireGuard{Name: "hub", Key: hub, Address: "10.77.0.1/24", Port: 51820, Peer: own.PublicKey(), Allowed: "10.77.0.7/32"})
	echo := office.ListenUDP(t, "10.77.0.1:7")
	go func() {
		buffer := make([]byte, 100)
		for {
			n, from, err := echo.ReadFrom(buffer)
			if err != nil {
				return
			}
			_, _ = echo.WriteTo(buffer[:n], from)
		}
	}()
	lan.BoxWireGuard(t, lan.WireGuard{Name: network.Tunnel, Key: own, Address: "10.77.0.7/24", Peer: hub.PublicKey(), Endpoint: "203.0.113.10:51820", Allowed: "10.77.0.0/24"})
	client, err := wgctrl.New()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	tunnel := endpoint.Of(client, network.Tunnel, preseed.WireGuard{Peers: []preseed.Peer{{PublicKey: hub.PublicKey().String(), Endpoint: preseed.Endpoint{Host: "hub.example.org", Port: 51820}}}})
	tunnel.Every = endpoint.Interval
	go endpoint.Follow(t.Context(), tunnel)
	if !echoes(t, 20*time.Second) {
		t.Fatal("nothing goes through the tunnel")
	}
	time.Sleep(2 * time.Second) // the first look knows what the name means

	to := netip.MustParseAddr("203.0.113.20")
	names.Lie.Store(&to)
	office.Readdress(t, "wan", "203.0.113.20/24", "203.0.113.1")
	if echoes(t, 2*time.Second) {
		t.Fatal("the hub still answers at its old address")
	}
	moved := time.Now()
	if !echoes(t, 2*time.Minute) {
		t.Fatal("the tunnel did not come back within two minutes")
	}
	t.Logf("data go through the tunnel again after %.1f s", time.Since(moved).Seconds()+2)
}

// TestOffice: the office of the tests of whole boxes reaches what is at the other end, also
// after it started again, and not when that has another key.
func TestOffice(t *testing.T) {
	office, own := lan.NewOffice(t, "10.77.0.1", "10.77.0.7"), wireGuardKey(t)
	office.Box = wireGuardKey(t).PublicKey()
	lan.BoxWireGuard(t, lan.WireGuard{Name: network.Tunnel, Key: own, Address: "10.77.0.7/24", Peer: office.Key.PublicKey(), Endpoint: fmt.Sprintf("127.0.0.1:%d", office.Port), Allowed: "10.77.0.0/24", Keepalive: 1})
	office.Up(t)
	if _, ok := office.Reaches(3 * time.Second); ok {
		t.Fatal("it reaches a box with another key")
	}
	for range 2 {
		office.Down()
		office.Box = own.PublicKey()
		office.Up(t)
		took, ok := office.Reaches(time.Minute)
		if !ok {
			t.Fatal("nothing answers through the tunnel")
		}
		t.Logf("answers after %.1f s", took.Seconds())
	}
}

// echoes sends through the tunnel until something comes back or the time is over.
func echoes(t *testing.T, within time.Duration) bool {
	t.Helper()
	conn, err := net.Dial("udp", "10.77.0.1:7")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for end := time.Now().Add(within); time.Now().Before(end); {
		if _, err := conn.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		if n, err := conn.Read(make([]byte, 100)); err == nil && n == 5 {
			return true
		}
	}
	return false
}

// nameServer makes this process ask one name server.
func nameServer(t *testing.T, at string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(file, []byte("nameserver "+at+"\noptions timeout:1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(file, "/etc/resolv.conf", "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount("/etc/resolv.conf", unix.MNT_DETACH) })
}

func wireGuardKey(t *testing.T) wgtypes.Key {
	t.Helper()
	key, err := wgtypes.GeneratePrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}
