// Command tunnelend is one of two guests with a tunnel between them, in their kernels. The
// one called "stays" follows the name of the other, which moves to another address when it
// is told to.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.zx2c4.com/wireguard/wgctrl"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/stek-edge/stek/installer/network"
	"github.com/stek-edge/stek/installer/network/endpoint"
	"github.com/stek-edge/stek/installer/preseed"
)

const (
	port      = 51820
	otherName = "other.example.org"
	first     = "192.168.7.2"
	second    = "192.168.7.3"
)

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(role, peer string) error {
	private, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	client, err := wgctrl.New()
	if err != nil {
		return err
	}
	card, err := netlink.LinkByName("eth0")
	if err != nil {
		return err
	}
	if role == "stays" {
		if err := setUp(client, card, "192.168.7.1/24", "10.77.0.1/24", private, peer, "10.77.0.2/32", first); err != nil {
			return err
		}
		return stay(client, peer)
	}
	// It knows no address of the other: the other comes to it.
	if err := setUp(client, card, first+"/24", "10.77.0.2/24", private, peer, "10.77.0.1/32", ""); err != nil {
		return err
	}
	return move(card)
}

// setUp makes the kernel's tunnel as systemd-networkd does.
func setUp(client *wgctrl.Client, card netlink.Link, outer, inner string, private []byte, peer, allowed, at string) error {
	key, err := wgtypes.ParseKey(string(private))
	if err != nil {
		return err
	}
	public, err := wgtypes.ParseKey(peer)
	if err != nil {
		return err
	}
	_, behind, err := net.ParseCIDR(allowed)
	if err != nil {
		return err
	}
	config := wgtypes.PeerConfig{PublicKey: public, AllowedIPs: []net.IPNet{*behind}}
	if at != "" {
		config.Endpoint = net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(at), port))
	}
	tunnel := &netlink.Wireguard{LinkAttrs: netlink.LinkAttrs{Name: network.Tunnel, MTU: 1420}}
	if err := netlink.LinkAdd(tunnel); err != nil {
		return fmt.Errorf("making the tunnel: %w", err)
	}
	listen := port
	if err := client.ConfigureDevice(network.Tunnel, wgtypes.Config{PrivateKey: &key, ListenPort: &listen, Peers: []wgtypes.PeerConfig{config}}); err != nil {
		return fmt.Errorf("configuring the tunnel: %w", err)
	}
	return errors.Join(address(card, outer), netlink.LinkSetUp(card), address(tunnel, inner), netlink.LinkSetUp(tunnel))
}

func address(link netlink.Link, text string) error {
	a, err := netlink.ParseAddr(text)
	if err != nil {
		return err
	}
	return netlink.AddrAdd(link, a)
}

// stay reaches the other, tells it to move, and follows it.
func stay(client *wgctrl.Client, peer string) error {
	if err := hosts(first); err != nil {
		return err
	}
	follow := endpoint.Of(client, network.Tunnel, preseed.WireGuard{Peers: []preseed.Peer{{PublicKey: peer, Endpoint: preseed.Endpoint{Host: otherName, Port: port}}}})
	moved := make(chan endpoint.Move, 10)
	follow.Every, follow.Moved = time.Second, func(m endpoint.Move) { moved <- m }
	go endpoint.Follow(context.Background(), follow)
	if !says("hello", time.Minute) {
		return errors.New("nothing goes through the tunnel")
	}
	fmt.Println("the tunnel carries data")
	time.Sleep(2 * time.Second)
	if !says("move", 10*time.Second) {
		return errors.New("the other does not move")
	}
	if err := hosts(second); err != nil {
		return err
	}
	select {
	case m := <-moved:
		fmt.Println("followed to", m.To)
	case <-time.After(time.Minute):
		return errors.New("the tunnel did not follow")
	}
	if !says("hello", 2*time.Minute) {
		return errors.New("nothing goes through the tunnel any more")
	}
	device, err := client.Device(network.Tunnel)
	if err != nil {
		return err
	}
	if at := device.Peers[0].Endpoint.String(); !strings.HasPrefix(at, second) {
		return fmt.Errorf("the kernel sends to %s", at)
	}
	fmt.Println("the tunnel carries data again")
	says("end", 10*time.Second)
	return nil
}

// hosts says what the other's name means.
func hosts(at string) error {
	if err := os.MkdirAll("/etc", 0o755); err != nil {
		return err
	}
	return os.WriteFile("/etc/hosts", []byte(at+" "+otherName+"\n"), 0o644)
}

// says sends a word through the tunnel until it comes back or the time is over.
func says(word string, within time.Duration) bool {
	conn, err := net.Dial("udp", "10.77.0.2:7")
	if err != nil {
		return false
	}
	defer conn.Close()
	reply := make([]byte, 100)
	for end := time.Now().Add(within); time.Now().Before(end); {
		_, _ = conn.Write([]byte(word))
		_ = conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		if n, err := conn.Read(reply); err == nil && string(reply[:n]) == word {
			return true
		}
	}
	return false
}

// move answers, and takes another address once it is told to.
func move(card netlink.Link) error {
	echo, err := net.ListenPacket("udp", "10.77.0.2:7")
	if err != nil {
		return err
	}
	buffer := make([]byte, 100)
	for {
		n, from, err := echo.ReadFrom(buffer)
		if err != nil {
			return err
		}
		if _, err := echo.WriteTo(buffer[:n], from); err != nil {
			fmt.Println(err) // for a moment there is no way
		}
		switch {
		case bytes.Equal(buffer[:n], []byte("end")):
			return nil
		case bytes.Equal(buffer[:n], []byte("move")):
			old, err := netlink.ParseAddr(first + "/24")
			if err != nil {
				return err
			}
			if err := netlink.AddrDel(card, old); err == nil {
				if err := address(card, second+"/24"); err != nil {
					return err
				}
				fmt.Println("moved")
			}
		}
	}
}
