package vm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"
)

// Box is a machine that was powered on. It is off after PowerCut, Close, the end of the
// context given to PowerOn, or when the guest powers off; then another PowerOn of the
// same Machine may follow.
type Box struct {
	Machine   Machine  // with defaults filled in
	Accel     Accel    // what it runs under: KVM or TCG
	Logs      string   // directory of this power-on: console.log, serial.raw, qemu log, …
	Console   *Console // the first serial port
	Serial2   *Console // the second; nil unless Machine.Serial2
	QMP       *QMP     // for what has no method here
	PoweredOn time.Time

	run    string // private directory with the sockets
	wiring wiring
	qemu   *process
	swtpm  *process
	wires  []*wirePort
	held   []io.Closer // of a TPM that keeps its power
	unbind func() bool // from the context
	off    chan struct{}
	close  sync.Once

	mu       sync.Mutex
	cut      bool // by us, so that QEMU's exit is no fault
	detached bool
	resets   int // events up to which WaitReset has looked
}

// PowerOn starts the box; the guest runs when it returns, and every byte of its consoles
// is caught. The box loses power when ctx ends.
func (m Machine) PowerOn(ctx context.Context) (*Box, error) {
	m, err := m.prepared()
	if err != nil {
		return nil, err
	}
	b := &Box{Machine: m, off: make(chan struct{})}
	if err := b.start(ctx); err != nil {
		b.abandon()
		return nil, fmt.Errorf("powering on a virtual box: %w", err)
	}
	return b, nil
}

func (b *Box) start(ctx context.Context) error {
	m := b.Machine
	var err error
	if b.Accel, err = m.Accel.resolve(ctx, m.Kernel); err != nil {
		return err
	}
	if b.Logs, err = nextLogs(m.Dir); err != nil {
		return err
	}
	if b.run, err = socketDir(m.Outlive); err != nil {
		return err
	}
	in := func(name string) string { return filepath.Join(b.run, name) }
	b.wiring = wiring{accel: b.Accel, qmp: in("qmp"), serial: in("serial"), serial2: in("serial2"), tpm: in("tpm"), logs: b.Logs}
	if b.wiring.code, b.wiring.vars, err = m.firmwareFiles(); err != nil {
		return err
	}
	for i, nic := range m.NICs {
		local, remote := in(fmt.Sprintf("net%d-qemu", i)), in(fmt.Sprintf("net%d-wire", i))
		b.wiring.nics = append(b.wiring.nics, nic.netdev(i, local, remote))
		if nic.Wire != nil {
			port, err := nic.Wire.attach(remote, local)
			if err != nil {
				return err
			}
			b.wires = append(b.wires, port)
		}
	}
	if m.TPM != nil {
		if b.swtpm, err = m.TPM.start(ctx, b.wiring.tpm, b.Logs, m.Outlive); err != nil {
			return err
		}
	}
	if b.qemu, err = startProcess(b.Logs, m.Outlive, "qemu-system-x86_64", m.args(b.wiring)...); err != nil {
		return err
	}
	if err := b.connect(ctx); err != nil {
		return b.whyNot(err)
	}
	go b.watch()
	b.unbind = context.AfterFunc(ctx, func() { b.PowerCut() })
	return nil
}

// whyNot prefers QEMU's own words to the broken connection that its end has caused. The
// connection may break a moment before the process is gone.
func (b *Box) whyNot(connecting error) error {
	if !errors.Is(connecting, ErrOff) && !b.qemu.exited() {
		return connecting
	}
	select {
	case <-b.qemu.done:
		return fmt.Errorf("QEMU ended: %w: %s", b.qemu.err, b.qemu.lastWords())
	case <-time.After(5 * time.Second):
		return connecting
	}
}

// connect takes the sockets while the processor still stands (-S), so that nothing of
// the consoles is missed, and lets it go.
func (b *Box) connect(ctx context.Context) error {
	if err := waitSocket(ctx, b.wiring.qmp, b.qemu); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	// QEMU may end, or hang under a broken KVM, before it greets: dialQMP waits for
	// the greeting, and the connection's end or the context ends that wait.
	var err error
	if b.QMP, err = dialQMP(ctx, b.wiring.qmp); err != nil {
		return err
	}
	b.PoweredOn = time.Now()
	if b.Console, err = b.openConsole(b.wiring.serial, "console.log"); err != nil {
		return err
	}
	if b.Machine.Serial2 {
		if b.Serial2, err = b.openConsole(b.wiring.serial2, "serial2.log"); err != nil {
			return err
		}
	}
	return b.QMP.Do(ctx, "cont", nil, nil)
}

func (b *Box) openConsole(socket, log string) (*Console, error) {
	var fatal []*regexp.Regexp
	for _, pattern := range append(fatalAlways[:len(fatalAlways):len(fatalAlways)], b.Machine.Fatal...) {
		re, err := regexp.Compile(pattern)
		if err != nil {
			return nil, fmt.Errorf("reading the fatal patterns: %w", err)
		}
		fatal = append(fatal, re)
	}
	port, err := net.Dial("unix", socket)
	if err != nil {
		return nil, fmt.Errorf("opening the console: %w", err)
	}
	file, err := os.Create(filepath.Join(b.Logs, log))
	if err != nil {
		port.Close()
		return nil, fmt.Errorf("opening the console: %w", err)
	}
	return newConsole(port, file, b.PoweredOn, fatal), nil
}

// watch ends swtpm when QEMU has ended. swtpm goes by itself when the control channel
// closes; the grace lets it finish writing its state, as a chip does.
func (b *Box) watch() {
	<-b.qemu.done
	if b.swtpm != nil && !b.Machine.TPM.Held {
		select {
		case <-b.swtpm.done:
		case <-time.After(500 * time.Millisecond):
			b.swtpm.kill() // a child that cannot be killed stays in Children
		}
	}
	b.Console.wait(2 * time.Second)
	close(b.off)
}

// abandon takes back what an unfinished start has made.
func (b *Box) abandon() {
	for _, p := range []*process{b.qemu, b.swtpm} {
		if p != nil {
			p.kill() // the start has failed already, with a better reason
		}
	}
	b.release()
}

// release closes and removes what only a running box needs.
func (b *Box) release() {
	if b.QMP != nil {
		b.QMP.Close()
	}
	for _, c := range []*Console{b.Console, b.Serial2} {
		if c != nil {
			c.port.Close()
			c.wait(2 * time.Second)
		}
	}
	for _, w := range b.wires {
		w.close()
	}
	for _, c := range b.held {
		c.Close()
	}
	if b.swtpm != nil && b.Machine.TPM.Held {
		b.swtpm.kill() // a child that cannot be killed stays in Children
	}
	if b.run != "" && !b.detached {
		os.RemoveAll(b.run)
	}
}

// PowerCut takes the power away: QEMU is killed, and what the guest had not handed to
// its disks is lost. It returns when the box is off; a box that is off stays so.
func (b *Box) PowerCut() error {
	b.mu.Lock()
	b.cut = true
	b.mu.Unlock()
	if err := b.qemu.kill(); err != nil {
		return err
	}
	<-b.off
	return nil
}

// Close cuts the power, if it is still on, and removes the sockets. The machine's Dir
// with its logs stays. It may be called more than once.
func (b *Box) Close() error {
	b.mu.Lock()
	detached := b.detached
	b.mu.Unlock()
	if detached {
		return nil
	}
	b.unbind()
	err := b.PowerCut()
	b.close.Do(b.release)
	return err
}

// WaitOff waits until the guest has powered off, and fails when QEMU ended for another
// reason than the guest or PowerCut.
func (b *Box) WaitOff(ctx context.Context) error {
	select {
	case <-b.off:
	case <-ctx.Done():
		return fmt.Errorf("waiting for the box to power off: %w", ctx.Err())
	}
	b.mu.Lock()
	cut := b.cut
	b.mu.Unlock()
	if b.qemu.err != nil && !cut {
		return fmt.Errorf("QEMU ended: %w: %s", b.qemu.err, b.qemu.lastWords())
	}
	return nil
}

// Off tells whether the box is off.
func (b *Box) Off() bool {
	select {
	case <-b.off:
		return true
	default:
		return false
	}
}

// nextLogs makes the directory for the logs of one more power-on.
func nextLogs(dir string) (string, error) {
	for n := 1; ; n++ {
		logs := filepath.Join(dir, fmt.Sprintf("power-on-%02d", n))
		if _, err := os.Stat(logs); err == nil {
			continue
		}
		if err := os.MkdirAll(logs, 0o755); err != nil {
			return "", fmt.Errorf("making a place for the logs: %w", err)
		}
		return logs, nil
	}
}
