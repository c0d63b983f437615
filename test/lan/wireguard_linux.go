package lan

import (
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/ipc"
	"golang.zx2c4.com/wireguard/tun"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"
)

// WireGuard is one end of a tunnel, in userspace: the kernel here may have none. It
// speaks the protocol itself and is configured as the kernel's is.
type WireGuard struct {
	Name     string
	Key      wgtypes.Key // private
	Address  string      // inside the tunnel, with its prefix length
	Port     int         // 0: any
	Peer     wgtypes.Key // public
	Endpoint string      // address and port; "": the peer comes to us
	Allowed  string

	Keepalive int // seconds; 0: none
}

// WireGuard starts an end of a tunnel in the site.
func (s *Site) WireGuard(t testing.TB, w WireGuard) {
	t.Helper()
	s.Do(t, func() error { return w.start(t) })
}

// BoxWireGuard starts an end of a tunnel in the box, where wgctrl finds it.
func BoxWireGuard(t testing.TB, w WireGuard) {
	t.Helper()
	must(t, w.start(t))
}

// start runs on a thread that is in the right namespace, and opens everything there:
// the interface, and the sockets whenever they are opened.
func (w WireGuard) start(t testing.TB) error {
	here, err := netns.Get()
	if err != nil {
		return fmt.Errorf("asking for the network namespace: %w", err)
	}
	card, err := tun.CreateTUN(w.Name, 1420)
	if err != nil {
		return fmt.Errorf("making %s: %w", w.Name, err)
	}
	dev := device.NewDevice(card, placedBind{conn.NewDefaultBind(), Site{ns: here}}, device.NewLogger(device.LogLevelSilent, ""))
	t.Cleanup(func() { here.Close() })
	t.Cleanup(dev.Close)
	set := fmt.Sprintf("private_key=%s\nlisten_port=%d\npublic_key=%s\nallowed_ip=%s\n", hex.EncodeToString(w.Key[:]), w.Port, hex.EncodeToString(w.Peer[:]), w.Allowed)
	if w.Endpoint != "" {
		set += fmt.Sprintf("endpoint=%s\npersistent_keepalive_interval=%d\n", w.Endpoint, w.Keepalive)
	}
	if err := dev.IpcSet(set); err != nil {
		return err
	}
	if err := dev.Up(); err != nil {
		return err
	}
	if err := listen(t, w.Name, dev); err != nil {
		return err
	}
	link, err := netlink.LinkByName(w.Name)
	if err != nil {
		return err
	}
	if err := addAddress(link, w.Address); err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}

// placedBind opens the sockets of a tunnel in its own namespace. The library closes
// and opens them again by itself, on any thread, when the interface's state changes.
type placedBind struct {
	conn.Bind
	place Site
}

func (b placedBind) Open(port uint16) (receive []conn.ReceiveFunc, got uint16, err error) {
	err = b.place.run(func() error {
		receive, got, err = b.Bind.Open(port)
		return err
	})
	return receive, got, err
}

// listen opens the socket by which wgctrl asks (the "cross-platform userspace
// implementation" interface of WireGuard).
func listen(t testing.TB, name string, dev *device.Device) error {
	file, err := ipc.UAPIOpen(name)
	if err != nil {
		return err
	}
	socket, err := ipc.UAPIListen(name, file)
	if err != nil {
		return err
	}
	t.Cleanup(func() { socket.Close() })
	go func() {
		for {
			asked, err := socket.Accept()
			if err != nil {
				return
			}
			go dev.IpcHandle(asked)
		}
	}()
	return nil
}
