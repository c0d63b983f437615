package lan

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Names are what a name server knows: addresses by host name.
type Names map[string]string

// NameServer is one name server, whose manners can be changed while it runs.
type NameServer struct {
	names Names
	// Lie is an address that it answers for every name; nil for an honest server.
	Lie atomic.Pointer[netip.Addr]
	// Code answers everything, when it is not 0 (success).
	Code atomic.Uint32
	// Silent swallows every question.
	Silent atomic.Bool
	asked  atomic.Int64
}

// Asked counts the questions that came.
func (n *NameServer) Asked() int { return int(n.asked.Load()) }

// DNS starts a name server at an address of the site, UDP and TCP port 53.
func (s *Site) DNS(t testing.TB, at string, names Names) *NameServer {
	t.Helper()
	server := &NameServer{names: names}
	udp := s.ListenUDP(t, at+":53")
	tcp := s.Listen(t, at+":53")
	go func() {
		buffer := make([]byte, 65535)
		for {
			n, from, err := udp.ReadFrom(buffer)
			if err != nil {
				return
			}
			if reply := server.reply(buffer[:n]); reply != nil {
				_, _ = udp.WriteTo(reply, from)
			}
		}
	}()
	go accept(tcp, func(conn net.Conn) {
		var length [2]byte
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return
		}
		question := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(conn, question); err != nil {
			return
		}
		if reply := server.reply(question); reply != nil {
			_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...))
		}
	})
	return server
}

func (n *NameServer) reply(wire []byte) []byte {
	n.asked.Add(1)
	var m dnsmessage.Message
	if n.Silent.Load() || m.Unpack(wire) != nil || len(m.Questions) != 1 {
		return nil
	}
	m.Response, m.RecursionAvailable = true, true
	q := m.Questions[0]
	address, known := n.names[strings.TrimSuffix(q.Name.String(), ".")]
	found, _ := netip.ParseAddr(address)
	if lie := n.Lie.Load(); lie != nil {
		found, known = *lie, true
	}
	switch code := n.Code.Load(); {
	case code != 0:
		m.RCode = dnsmessage.RCode(code)
	case !known:
		m.RCode = dnsmessage.RCodeNameError
	case q.Type == dnsmessage.TypeA:
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, Type: q.Type, TTL: 60},
			Body:   &dnsmessage.AResource{A: found.As4()},
		}}
	}
	out, err := m.Pack()
	if err != nil {
		return nil
	}
	return out
}

// NTP starts a time server at an address of the site, whose clock is off by so much
// (RFC 5905, section 7.3).
func (s *Site) NTP(t testing.TB, at string, off time.Duration) {
	t.Helper()
	conn := s.ListenUDP(t, at+":123")
	go func() {
		buffer := make([]byte, 1024)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			if n < 48 {
				continue
			}
			now := time.Now().Add(off)
			reply := make([]byte, 48)
			reply[0] = 4<<3 | 4 // version 4, server
			reply[1], reply[2], reply[3] = 2, 6, 0xec
			copy(reply[12:16], "LOCL")
			stamp(reply[16:], now.Add(-time.Minute))
			copy(reply[24:32], buffer[40:48])
			stamp(reply[32:], now)
			stamp(reply[40:], now)
			_, _ = conn.WriteTo(reply, from)
		}
	}()
}

// stamp writes seconds since 1900 and their fraction.
func stamp(to []byte, at time.Time) {
	const since1900 = 2208988800
	binary.BigEndian.PutUint32(to, uint32(at.Unix()+since1900))
	binary.BigEndian.PutUint32(to[4:], uint32(uint64(at.Nanosecond())<<32/1e9))
}

// HTTP serves at an address and port of the site.
func (s *Site) HTTP(t testing.TB, at string, handler http.Handler) {
	t.Helper()
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go server.Serve(s.Listen(t, at))
	t.Cleanup(func() { server.Close() })
}

// Proxy is an HTTP proxy of the site that connects to where CONNECT says. login is
// "user:password", or "" when anybody may use it.
func (s *Site) Proxy(t testing.TB, at, login string) {
	t.Helper()
	s.HTTP(t, at, Proxy(login, func(to string) (far net.Conn, err error) {
		err = s.run(func() (err error) {
			far, err = net.DialTimeout("tcp", to, 3*time.Second)
			return err
		})
		return far, err
	}))
}

// Proxy answers CONNECT (RFC 9110, section 9.3.6) with a connection that dial makes.
func Proxy(login string, dial func(to string) (net.Conn, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Authorization", r.Header.Get("Proxy-Authorization"))
		if user, password, ok := r.BasicAuth(); login != "" && (!ok || user+":"+password != login) {
			w.Header().Set("Proxy-Authenticate", `Basic realm="site"`)
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		if r.Method != http.MethodConnect {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		far, err := dial(r.Host)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		near, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			far.Close()
			return
		}
		_, _ = io.WriteString(near, "HTTP/1.1 200 Connection established\r\n\r\n")
		go func() { _, _ = io.Copy(far, near); far.Close() }()
		go func() { _, _ = io.Copy(near, far); near.Close() }()
	})
}

// Listen opens a TCP port of the site.
func (s *Site) Listen(t testing.TB, at string) net.Listener {
	t.Helper()
	var l net.Listener
	s.Do(t, func() (err error) {
		l, err = net.Listen("tcp4", at)
		return err
	})
	t.Cleanup(func() { l.Close() })
	return l
}

// ListenUDP opens a UDP port of the site.
func (s *Site) ListenUDP(t testing.TB, at string) net.PacketConn {
	t.Helper()
	var c net.PacketConn
	s.Do(t, func() (err error) {
		c, err = net.ListenPacket("udp4", at)
		return err
	})
	t.Cleanup(func() { c.Close() })
	return c
}

func accept(l net.Listener, serve func(net.Conn)) {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		go func() {
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			serve(conn)
		}()
	}
}
