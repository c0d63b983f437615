//go:build linux

package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// reply is what an echo request led to.
type reply struct {
	kind replyKind
	from netip.Addr
	mtu  int // of replyTooBig, 0 when the router did not say
}

type replyKind int

const (
	replyNone        replyKind = iota // silence
	replyEcho                         // the host answered
	replyExpired                      // a router dropped it, because its time to live was over
	replyTooBig                       // a router, or this kernel, cannot send so much at once
	replyUnreachable                  // a router knows no way, or a filter says so
)

// ipHeader and icmpHeader are what an echo request has besides its data, in bytes.
const (
	ipHeader   = 20
	icmpHeader = 8
)

// ping sends one IPv4 packet of size bytes, which may not be fragmented, up to
// tries times, and returns the first answer. ttl 0 is the kernel's.
func ping(ctx context.Context, to netip.Addr, size, ttl, tries int, wait time.Duration) (reply, error) {
	conn, err := icmp.ListenPacket("ip4:icmp", "0.0.0.0")
	if err != nil {
		return reply{}, fmt.Errorf("opening a raw socket: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	raw := conn.IPv4PacketConn()
	if ttl > 0 {
		if err := raw.SetTTL(ttl); err != nil {
			return reply{}, err
		}
	}
	if err := dontFragment(raw); err != nil {
		return reply{}, err
	}
	id := rand.IntN(1 << 16)
	body := make([]byte, max(size-ipHeader-icmpHeader, 0))
	for try := range max(tries, 1) {
		request := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: id, Seq: try + 1, Data: body}}
		wire, err := request.Marshal(nil)
		if err != nil {
			return reply{}, err
		}
		if _, err := conn.WriteTo(wire, &net.IPAddr{IP: to.AsSlice()}); err != nil {
			switch {
			case errors.Is(err, unix.EMSGSIZE):
				return reply{kind: replyTooBig}, nil
			case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH):
				return reply{kind: replyUnreachable}, nil
			}
			return reply{}, err
		}
		if err := conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
			return reply{}, err
		}
		got, err := readReply(conn, id, to)
		if ctx.Err() != nil {
			return reply{}, ctx.Err()
		}
		if err == nil {
			return got, nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return reply{}, err
		}
	}
	return reply{}, nil
}

// dontFragment sets the flag and ignores what the kernel has learnt of the path.
func dontFragment(conn *ipv4.PacketConn) error {
	raw, err := conn.PacketConn.(*net.IPConn).SyscallConn()
	if err != nil {
		return err
	}
	var setErr error
	err = raw.Control(func(fd uintptr) {
		setErr = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE)
	})
	return errors.Join(err, setErr)
}

// readReply reads until something concerns our request, or the deadline.
func readReply(conn *icmp.PacketConn, id int, to netip.Addr) (reply, error) {
	buffer := make([]byte, 65536)
	for {
		n, from, err := conn.ReadFrom(buffer)
		if err != nil {
			return reply{}, err
		}
		if r, ours := parseReply(buffer[:n], id, to); ours {
			if ip, ok := from.(*net.IPAddr); ok {
				r.from = addr(ip.IP)
			}
			return r, nil
		}
	}
}

// parseReply reads an ICMP message (RFC 792) and tells whether it answers the echo
// request with that identifier to that host.
func parseReply(wire []byte, id int, to netip.Addr) (reply, bool) {
	m, err := icmp.ParseMessage(unix.IPPROTO_ICMP, wire)
	if err != nil {
		return reply{}, false
	}
	var original []byte
	r := reply{}
	switch body := m.Body.(type) {
	case *icmp.Echo:
		return reply{kind: replyEcho}, m.Type == ipv4.ICMPTypeEchoReply && body.ID == id
	case *icmp.TimeExceeded:
		original, r.kind = body.Data, replyExpired
	case *icmp.DstUnreach:
		original, r.kind = body.Data, replyUnreachable
		if m.Code == 4 { // fragmentation needed; RFC 1191, section 4 has the size in bytes 6 and 7
			r.kind = replyTooBig
			if len(wire) >= 8 {
				r.mtu = int(binary.BigEndian.Uint16(wire[6:8]))
			}
		}
	default:
		return reply{}, false
	}
	return r, isOurs(original, id, to)
}

// isOurs reads the header and the first eight bytes that an error message repeats.
func isOurs(original []byte, id int, to netip.Addr) bool {
	if len(original) < ipHeader || original[0]>>4 != 4 || original[9] != unix.IPPROTO_ICMP {
		return false
	}
	header := int(original[0]&0xf) * 4
	if header < ipHeader || len(original) < header+icmpHeader {
		return false
	}
	dst, _ := netip.AddrFromSlice(original[16:20])
	return dst == to && int(binary.BigEndian.Uint16(original[header+4:header+6])) == id
}
