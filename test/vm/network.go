package vm

import (
	"errors"
	"fmt"
	"strings"
)

// NIC is one network card. Exactly one of the ways out is set.
type NIC struct {
	Model string // "virtio-net-pci" by itself; "e1000e", "igb", …
	MAC   string // QEMU's own by itself

	Wire *Wire        // to other machines of this program, every packet counted; ends with it
	User *UserNetwork // QEMU's own NAT
	Raw  string       // any other -netdev value without its id, such as "tap,ifname=t0,script=no"
}

// UserNetwork is QEMU's user-mode network: 10.0.2.0/24 with DHCP and DNS.
type UserNetwork struct {
	Open     bool     // the guest may reach the host's network; by itself it may not
	Forwards []string // host ports into the guest: "tcp:127.0.0.1:8080-:80"
}

func (n NIC) fault() error {
	ways := 0
	for _, set := range []bool{n.Wire != nil, n.User != nil, n.Raw != ""} {
		if set {
			ways++
		}
	}
	if ways != 1 {
		return errors.New("want exactly one of Wire, User and Raw")
	}
	if strings.ContainsAny(n.Model+n.MAC, ",\n") {
		return errors.New("model and MAC must not hold a comma")
	}
	return nil
}

func (n NIC) device(index int) string {
	model := n.Model
	if model == "" {
		model = "virtio-net-pci"
	}
	s := fmt.Sprintf("%s,netdev=net%d", model, index)
	if n.MAC != "" {
		s += ",mac=" + n.MAC
	}
	return s
}

// netdev gives the -netdev value; a wire's ends are the two sockets.
func (n NIC) netdev(index int, local, remote string) string {
	id := fmt.Sprintf("id=net%d", index)
	switch {
	case n.Wire != nil:
		return "dgram," + id + ",local.type=unix,local.path=" + comma(local) + ",remote.type=unix,remote.path=" + comma(remote)
	case n.User != nil:
		s := "user," + id + ",restrict=on"
		if n.User.Open {
			s = "user," + id + ",restrict=off"
		}
		for _, f := range n.User.Forwards {
			s += ",hostfwd=" + comma(f)
		}
		return s
	default:
		kind, rest, _ := strings.Cut(n.Raw, ",")
		if rest != "" {
			rest = "," + rest
		}
		return kind + "," + id + rest
	}
}
