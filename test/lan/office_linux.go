package lan

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun/tuntest"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"
)

// Office is the other end of a box's tunnel without an interface: WireGuard in userspace,
// whose packets are made and looked at here. So it needs no namespace, and may serve a
// virtual box.
type Office struct {
	Key  wgtypes.Key // private
	Port int         // UDP, on every address of this machine
	Box  wgtypes.Key // public; before Up

	Own, Far netip.Addr // of the office and of the box, inside the tunnel

	card  *tuntest.ChannelTUN
	dev   *device.Device
	asked uint16 // how often whether the box can be reached
}

// NewOffice makes an office with a key of its own and a free port. It is not up yet.
func NewOffice(t testing.TB, own, far string) *Office {
	t.Helper()
	key, err := wgtypes.GeneratePrivateKey()
	must(t, err)
	free, err := net.ListenPacket("udp", ":0")
	must(t, err)
	defer free.Close()
	o := &Office{Key: key, Port: free.LocalAddr().(*net.UDPAddr).Port, Own: netip.MustParseAddr(own), Far: netip.MustParseAddr(far)}
	t.Cleanup(o.Down)
	return o
}

// Up starts the office, which knows nothing of earlier sessions, as after a restart.
func (o *Office) Up(t testing.TB) {
	t.Helper()
	o.card = tuntest.NewChannelTUN()
	o.dev = device.NewDevice(o.card.TUN(), conn.NewDefaultBind(), device.NewLogger(device.LogLevelSilent, ""))
	must(t, o.dev.IpcSet(fmt.Sprintf("private_key=%s\nlisten_port=%d\npublic_key=%s\nallowed_ip=%s/32\n",
		hex.EncodeToString(o.Key[:]), o.Port, hex.EncodeToString(o.Box[:]), o.Far)))
	must(t, o.dev.Up())
}

// Down stops it, as a power cut does.
func (o *Office) Down() {
	if o.dev != nil {
		o.dev.Close()
		o.dev = nil
	}
}

// Reaches pings the box through the tunnel until it answers or the time is over, and tells
// how long that took. An answer to an earlier call, which may come late, is none.
func (o *Office) Reaches(within time.Duration) (time.Duration, bool) {
	o.asked++
	start := time.Now()
	end := time.After(within)
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for {
		select {
		case o.card.Outbound <- echoRequest(o.Own, o.Far, o.asked):
		case <-end:
			return within, false
		}
		for waiting := true; waiting; {
			select {
			case packet := <-o.card.Inbound:
				if o.isReply(packet) {
					return time.Since(start), true
				}
			case <-again.C:
				waiting = false
			case <-end:
				return within, false
			}
		}
	}
}

// echoRequest is a ping (RFC 792) with an identifier, in an IPv4 packet (RFC 791). That of
// the library's own tests has checksums that no kernel takes.
func echoRequest(from, to netip.Addr, identifier uint16) []byte {
	packet := make([]byte, 28)
	packet[0] = 4<<4 | 5 // version, and the header's length in words
	binary.BigEndian.PutUint16(packet[2:], uint16(len(packet)))
	packet[8], packet[9] = 64, 1 // hops, and ICMP
	copy(packet[12:], from.AsSlice())
	copy(packet[16:], to.AsSlice())
	binary.BigEndian.PutUint16(packet[10:], internetChecksum(packet[:20]))
	packet[20] = 8 // echo request
	binary.BigEndian.PutUint16(packet[24:], identifier)
	binary.BigEndian.PutUint16(packet[22:], internetChecksum(packet[20:]))
	return packet
}

// internetChecksum is that of RFC 1071, of an even number of bytes.
func internetChecksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

func (o *Office) isReply(packet []byte) bool {
	if len(packet) < 28 || packet[9] != 1 || packet[20] != 0 || binary.BigEndian.Uint16(packet[24:]) != o.asked {
		return false
	}
	from, _ := netip.AddrFromSlice(packet[12:16])
	return from == o.Far
}
