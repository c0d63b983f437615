package keep

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/network"
)

// joinedUnit follows which network a radio has joined: package joined.
const joinedUnit = "stek-network-joined.service"

// Systemd makes the network programs of a node read their files again.
type Systemd struct {
	Cards []hardware.NIC // of the machine
	Run   func(ctx context.Context, name string, args ...string) error
}

// Reload stops networkd, takes away what it has set, and starts it on the new files:
// a networkd that is merely restarted leaves the routes of files that are gone, and
// changes no tunnel and no VLAN that exists. Nobody is cut off by that: connections
// outlive an address that is back within seconds. A tunnel or VLAN that both
// configurations make in the same way stays: what the cluster has laid over it would go
// with it.
func (s Systemd) Reload(ctx context.Context, before, now Config) error {
	stopped, started := radios(before), radios(now)
	steps := [][]string{
		{"stop", joinedUnit}, // takes away what it has laid for the radios of before
		{"stop", "systemd-networkd.socket", "systemd-networkd.service"},
	}
	if len(stopped) > 0 {
		steps = append(steps, append([]string{"stop"}, stopped...))
	}
	for _, step := range steps {
		if err := s.Run(ctx, "systemctl", step...); err != nil {
			return err
		}
	}
	var cards []string
	for _, c := range s.Cards {
		cards = append(cards, c.Name)
	}
	remade, readdressed := changed(before, now)
	if err := Clear(append(cards, readdressed...), remade); err != nil {
		return err
	}
	if !slices.Equal(stopped, started) {
		// udev gives radios their names when they appear, and again when it is told that
		// they have.
		if err := s.Run(ctx, "udevadm", "trigger", "--settle", "--action=add", "--subsystem-match=net"); err != nil {
			return err
		}
	}
	steps = [][]string{
		{"daemon-reload"},
		{"start", "systemd-networkd.service"},
		{"restart", "systemd-resolved.service"},
		{"try-restart", "systemd-timesyncd.service"},
		{"restart", "stek-network-endpoint.service"}, // does nothing without a tunnel
		{"start", joinedUnit},                        // does nothing where radios have the same in all networks
	}
	if len(started) > 0 {
		steps = append(steps, append([]string{"start"}, started...))
	}
	if slices.Contains(remade, network.Tunnel) || !bytes.Equal(content(before, network.ProxyEnvPath), content(now, network.ProxyEnvPath)) {
		// Its containers run on. It reads the proxy only when it starts, and makes the
		// pods' network only then, which the kernel removes with the tunnel below it. A
		// start takes minutes on a slow box, and has no limit: nothing waits for it.
		steps = append(steps, []string{"try-restart", "--no-block", "k3s.service"})
	}
	for _, step := range steps {
		if err := s.Run(ctx, "systemctl", step...); err != nil {
			return err
		}
	}
	return nil
}

// radios are the units that run wpa_supplicant.
func radios(c Config) []string {
	var units []string
	for _, f := range c.Files {
		if f.Link != "" && strings.HasPrefix(path.Base(f.Path), "wpa_supplicant@") {
			units = append(units, path.Base(f.Path))
		}
	}
	return units
}

// netdevs are the interfaces that a configuration makes.
func netdevs(c Config) []string {
	var names []string
	for _, f := range c.Files {
		if path.Ext(f.Path) != ".netdev" {
			continue
		}
		for line := range strings.Lines(string(f.Data)) {
			if name, ok := strings.CutPrefix(strings.TrimSpace(line), "Name="); ok {
				names = append(names, name)
				break
			}
		}
	}
	return names
}

// changed are the interfaces that a reload has to make anew or take away, and those that
// stay and get other addresses or routes.
func changed(before, now Config) (remade, readdressed []string) {
	names := append(netdevs(before), netdevs(now)...)
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		switch {
		case !slices.EqualFunc(makers(before, name), makers(now, name), same):
			remade = append(remade, name)
		case !slices.EqualFunc(with(before, ".network", "Name="+name), with(now, ".network", "Name="+name), same):
			readdressed = append(readdressed, name)
		}
	}
	return remade, readdressed
}

// makers are the files that decide how an interface is made: its own, the credentials
// that this one names (systemd.netdev(5), PrivateKey=), and those of the cards that a
// VLAN lies on.
func makers(c Config, name string) []network.File {
	files := with(c, ".netdev", "Name="+name)
	for _, f := range slices.Clone(files) {
		for line := range strings.Lines(string(f.Data)) {
			if _, credential, ok := strings.Cut(strings.TrimSpace(line), "=@"); ok {
				at := path.Join(path.Dir(network.TunnelKeyPath), credential)
				files = append(files, network.File{Path: at, Data: content(c, at)})
			}
		}
	}
	return append(files, with(c, ".network", "VLAN="+name)...)
}

// with are the files of a kind that have a line.
func with(c Config, kind, line string) []network.File {
	var files []network.File
	for _, f := range c.Files {
		if path.Ext(f.Path) == kind && slices.Contains(strings.Split(string(f.Data), "\n"), line) {
			files = append(files, f)
		}
	}
	return files
}

func same(a, b network.File) bool { return a.Path == b.Path && bytes.Equal(a.Data, b.Data) }

func content(c Config, at string) []byte {
	for _, f := range c.Files {
		if f.Path == at {
			return f.Data
		}
	}
	return nil
}

// Clear takes every address and every gateway from cards, and removes netdevs.
// Cards and netdevs that are not there are no error.
func Clear(cards, netdevs []string) error {
	var faults []error
	for _, name := range netdevs {
		if link, err := netlink.LinkByName(name); err == nil {
			faults = append(faults, describe("removing "+name, netlink.LinkDel(link)))
		}
	}
	for _, name := range cards {
		link, err := netlink.LinkByName(name)
		if err != nil {
			continue
		}
		routes, err := netlink.RouteList(link, netlink.FAMILY_ALL)
		faults = append(faults, describe("listing the routes of "+name, err))
		for _, r := range routes {
			if r.Gw != nil {
				faults = append(faults, describe("removing a route of "+name, netlink.RouteDel(&r)))
			}
		}
		addresses, err := netlink.AddrList(link, netlink.FAMILY_ALL)
		faults = append(faults, describe("listing the addresses of "+name, err))
		for _, a := range addresses {
			if !a.IP.IsLinkLocalUnicast() {
				faults = append(faults, describe("removing an address of "+name, netlink.AddrDel(link, &a)))
			}
		}
	}
	return errors.Join(faults...)
}

func describe(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
