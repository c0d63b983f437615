//go:build linux && k3s

package k3s

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/stek-edge/stek/installer/network"
)

// spec is what a node is told at each of its starts. Its folder keeps it.
type spec struct {
	Name   string
	Agent  bool
	Tunnel *tunnel
}

func specFile(dir string) string { return filepath.Join(dir, "spec.json") }

func (s spec) write(dir string) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return os.WriteFile(specFile(dir), text, 0o600)
}

func readSpec(dir string) (s spec, err error) {
	text, err := os.ReadFile(specFile(dir))
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	return s, err
}

// tunnel is the node's end of a tunnel. The kernel here may have no WireGuard, so it is
// one in userspace, inside the node: a power cut ends it, and a start makes it anew.
type tunnel struct {
	Key      wgtypes.Key // private
	Address  string      // with the length of the tunnel's network
	Port     int         // 0: any
	Peer     wgtypes.Key // public
	Endpoint string      // "": the peer comes to us
	Allowed  string
}

// up makes the interface in the namespace of this process.
func (u *tunnel) up() error {
	card, err := tun.CreateTUN(network.Tunnel, 1420)
	if err != nil {
		return err
	}
	dev := device.NewDevice(card, conn.NewDefaultBind(), device.NewLogger(device.LogLevelSilent, ""))
	set := fmt.Sprintf("private_key=%s\nlisten_port=%d\npublic_key=%s\nallowed_ip=%s\n", hex.EncodeToString(u.Key[:]), u.Port, hex.EncodeToString(u.Peer[:]), u.Allowed)
	if u.Endpoint != "" {
		set += "endpoint=" + u.Endpoint + "\npersistent_keepalive_interval=5\n"
	}
	if err := dev.IpcSet(set); err != nil {
		return err
	}
	if err := dev.Up(); err != nil {
		return err
	}
	for _, line := range []string{"addr add " + u.Address + " dev " + network.Tunnel, "link set " + network.Tunnel + " up"} {
		if err := ip(line); err != nil {
			return err
		}
	}
	return nil
}
