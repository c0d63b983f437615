package vm

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// Wire is an Ethernet segment inside this program: each packet that a box on it sends
// goes to all the others, and is counted and kept. A wire with one box on it shows what
// that box would have sent. Its zero value is ready; it may be used by many boxes, and
// over power cuts.
type Wire struct {
	mu     sync.Mutex
	ports  map[*wirePort]bool
	frames []Frame
	total  int
}

// framesKept bounds the memory of a wire; the count goes on beyond it.
const framesKept = 100_000

// Frame is one Ethernet packet that a box sent.
type Frame struct {
	At   time.Time
	Data []byte // from the destination address on, without preamble and checksum
}

// EtherType gives the protocol (IEEE 802 numbers: 0x0800 IPv4, 0x0806 ARP, 0x86dd IPv6),
// or 0 for a packet that is too short.
func (f Frame) EtherType() uint16 {
	if len(f.Data) < 14 {
		return 0
	}
	return binary.BigEndian.Uint16(f.Data[12:14])
}

// String gives the addresses, the protocol and the length.
func (f Frame) String() string {
	if len(f.Data) < 14 {
		return fmt.Sprintf("%d bytes", len(f.Data))
	}
	return fmt.Sprintf("%v > %v, type %#04x, %d bytes", net.HardwareAddr(f.Data[6:12]), net.HardwareAddr(f.Data[:6]), f.EtherType(), len(f.Data))
}

// Count tells how many packets were sent on the wire.
func (w *Wire) Count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.total
}

// Frames gives the packets, oldest first; at most the first 100 000.
func (w *Wire) Frames() []Frame {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]Frame(nil), w.frames...)
}

// wirePort is one card's end: we read from local, QEMU's card listens at remote.
type wirePort struct {
	conn   *net.UnixConn
	remote *net.UnixAddr
}

// attach makes the wire's end of a card; close takes it off.
func (w *Wire) attach(local, remote string) (*wirePort, error) {
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: local, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("attaching a network card: %w", err)
	}
	p := &wirePort{conn: conn, remote: &net.UnixAddr{Name: remote, Net: "unixgram"}}
	w.mu.Lock()
	if w.ports == nil {
		w.ports = map[*wirePort]bool{}
	}
	w.ports[p] = true
	w.mu.Unlock()
	go w.carry(p)
	return p, nil
}

// carry passes on what one card sends. A card that is off or whose queue is full misses
// the packet, as on a real wire.
func (w *Wire) carry(from *wirePort) {
	buffer := make([]byte, 1<<16)
	for {
		n, err := from.conn.Read(buffer)
		if err != nil {
			w.mu.Lock()
			delete(w.ports, from)
			w.mu.Unlock()
			return
		}
		frame := Frame{At: time.Now(), Data: append([]byte(nil), buffer[:n]...)}
		w.mu.Lock()
		w.total++
		if len(w.frames) < framesKept {
			w.frames = append(w.frames, frame)
		}
		var others []*wirePort
		for p := range w.ports {
			if p != from {
				others = append(others, p)
			}
		}
		w.mu.Unlock()
		for _, p := range others {
			p.conn.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
			p.conn.WriteToUnix(frame.Data, p.remote)
		}
	}
}

func (p *wirePort) close() { p.conn.Close() }

// WritePCAP writes the packets to a file that Wireshark reads
// (draft-ietf-opsawg-pcap: magic a1b2c3d4, link type 1).
func (w *Wire) WritePCAP(path string) error {
	out := binary.LittleEndian.AppendUint32(nil, 0xa1b2c3d4)
	out = binary.LittleEndian.AppendUint16(out, 2)
	out = binary.LittleEndian.AppendUint16(out, 4)
	out = append(out, make([]byte, 8)...)
	out = binary.LittleEndian.AppendUint32(out, 1<<16)
	out = binary.LittleEndian.AppendUint32(out, 1)
	for _, f := range w.Frames() {
		for _, v := range []uint32{uint32(f.At.Unix()), uint32(f.At.Nanosecond() / 1000), uint32(len(f.Data)), uint32(len(f.Data))} {
			out = binary.LittleEndian.AppendUint32(out, v)
		}
		out = append(out, f.Data...)
	}
	if err := os.WriteFile(path, out, 0o644); err != nil {
		return fmt.Errorf("writing the packets of a wire: %w", err)
	}
	return nil
}
