package swtpm

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// readyTimeout is how long swtpm may take until its sockets answer. It is long because
// test machines are busy; an idle one needs about 10 ms.
const readyTimeout = 30 * time.Second

// TPM is one running swtpm.
type TPM struct {
	Socket   string // data channel, for tpm.Open("swtpm:"+Socket); empty in the other modes
	Control  string // control channel, for QEMU's -chardev socket; empty in the other modes
	TCTI     string // for tools of tpm2-tss (tpm2-tools, systemd): "swtpm:host=…,port=…"; empty in the other modes
	StateDir string // holds the TPM's NV memory; may be given to another swtpm after Stop

	dir     string // sockets and log; kept apart from the state, and short: a unix socket path holds 107 bytes
	args    []string
	probe   func() error
	process *process
}

// Start runs a new TPM, already powered on (TPM2_Startup(CLEAR) done), and stops it
// when the test ends.
func Start(t testing.TB) *TPM {
	t.Helper()
	state, err := os.MkdirTemp("", "stek-tpm-state-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(state) })
	return StartIn(t, state)
}

// StartIn is Start on a state folder that the caller keeps.
func StartIn(t testing.TB, stateDir string) *TPM {
	t.Helper()
	return own(t)(Run(stateDir))
}

// StartTCP is StartIn for tools that speak to swtpm by TCP only, as those built on
// tpm2-tss do. Its address is in TCTI.
func StartTCP(t testing.TB, stateDir string) *TPM {
	t.Helper()
	return own(t)(RunTCP(stateDir))
}

// StartForQEMU is RunForQEMU, stopped when the test ends.
func StartForQEMU(t testing.TB, stateDir string) *TPM {
	t.Helper()
	return own(t)(RunForQEMU(stateDir))
}

func own(t testing.TB) func(*TPM, error) *TPM {
	return func(emu *TPM, err error) *TPM {
		t.Helper()
		if emu != nil {
			t.Cleanup(emu.Stop)
		}
		if err != nil {
			t.Fatal(err)
		}
		return emu
	}
}

// Run starts a TPM on a state folder, powered on, with a data socket. The caller stops it.
func Run(stateDir string) (*TPM, error) {
	emu, err := prepare(stateDir)
	if err != nil {
		return nil, err
	}
	emu.Socket = filepath.Join(emu.dir, "data")
	emu.args = []string{
		"--server", "type=unixio,path=" + emu.Socket,
		"--flags", "not-need-init,startup-clear",
	}
	emu.probe = func() error { return dial("unix", emu.Socket) }
	return emu, emu.start()
}

// RunForQEMU starts a TPM that QEMU powers on: only a control socket, for
//
//	-chardev socket,id=c,path=<Control> -tpmdev emulator,id=t,chardev=c -device tpm-crb,tpmdev=t
//
// QEMU ends this swtpm when it quits; Reset starts it again for the next machine.
func RunForQEMU(stateDir string) (*TPM, error) {
	emu, err := prepare(stateDir)
	if err != nil {
		return nil, err
	}
	emu.Control = filepath.Join(emu.dir, "ctrl")
	emu.args = []string{"--ctrl", "type=unixio,path=" + emu.Control}
	// Connecting would use up QEMU's turn, so only the file is looked for.
	emu.probe = func() error { _, err := os.Stat(emu.Control); return err }
	return emu, emu.start()
}

// RunTCP starts a TPM on two neighbouring ports of the loopback address, as the "swtpm"
// TCTI of tpm2-tss wants it.
func RunTCP(stateDir string) (*TPM, error) {
	emu, err := prepare(stateDir)
	if err != nil {
		return nil, err
	}
	var last error
	for range 20 { // somebody else may take a port between choosing and using it
		port, err := freePair()
		if err != nil {
			return emu, err
		}
		emu.TCTI = fmt.Sprintf("swtpm:host=127.0.0.1,port=%d", port)
		emu.args = []string{
			"--server", fmt.Sprintf("type=tcp,bindaddr=127.0.0.1,port=%d", port),
			"--ctrl", fmt.Sprintf("type=tcp,bindaddr=127.0.0.1,port=%d", port+1),
			"--flags", "not-need-init,startup-clear",
		}
		emu.probe = func() error { return dial("tcp", "127.0.0.1:"+strconv.Itoa(port+1)) }
		if last = emu.start(); last == nil {
			return emu, nil
		}
	}
	return emu, last
}

// Reset pulls the power and gives it back: swtpm is killed, so the TPM gets no orderly
// TPM2_Shutdown, PCRs and sessions are gone and the NV memory stays. Paths and address
// stay the same.
func (p *TPM) Reset() error {
	p.process.kill()
	return p.start()
}

// Lend gives the TPM to tools that speak tpm2-tss while f runs: the power is pulled, f
// gets the TCTI of a swtpm on the same state, and after f the power is pulled again. The
// TPM is then as after Reset, with what the tools did to its NV memory.
func (p *TPM) Lend(f func(tcti string)) error {
	p.process.kill()
	lent, err := RunTCP(p.StateDir)
	if lent != nil {
		defer lent.Stop()
	}
	if err != nil {
		return err
	}
	f(lent.TCTI)
	lent.Stop()
	return p.start()
}

// Stop ends swtpm. The state folder stays. Stopping twice is allowed.
func (p *TPM) Stop() {
	p.process.kill()
	os.RemoveAll(p.dir)
}

// Log returns what swtpm said, for messages of failed tests.
func (p *TPM) Log() string {
	b, _ := os.ReadFile(filepath.Join(p.dir, "log"))
	return string(b)
}

func prepare(stateDir string) (*TPM, error) {
	abs, err := filepath.Abs(stateDir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(abs, 0o700); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "stek-tpm-")
	if err != nil {
		return nil, err
	}
	return &TPM{StateDir: abs, dir: dir}, nil
}

// start runs swtpm with the arguments of its mode and waits until it answers.
func (p *TPM) start() error {
	for _, s := range []string{p.Socket, p.Control} {
		if s != "" {
			os.Remove(s)
		}
	}
	log, err := os.OpenFile(filepath.Join(p.dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command("swtpm", append([]string{"socket", "--tpm2", "--tpmstate", "dir=" + p.StateDir}, p.args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	p.process, err = startProcess(cmd)
	if err != nil {
		return fmt.Errorf("starting swtpm (Debian package swtpm): %w", err)
	}
	deadline := time.Now().Add(readyTimeout)
	for {
		err := p.probe()
		if err == nil {
			return nil
		}
		select {
		case <-p.process.done:
			return fmt.Errorf("swtpm ended at once: %s", p.Log())
		case <-time.After(2 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			p.process.kill()
			return fmt.Errorf("swtpm does not answer: %w: %s", err, p.Log())
		}
	}
}

func dial(network, address string) error {
	c, err := net.Dial(network, address)
	if err != nil {
		return err
	}
	return c.Close()
}

// freePair finds two neighbouring ports that nobody listens on.
func freePair() (int, error) {
	for range 100 {
		a, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		port := a.Addr().(*net.TCPAddr).Port
		b, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port+1))
		a.Close()
		if err == nil {
			b.Close()
			return port, nil
		}
	}
	return 0, errors.New("no two neighbouring free ports")
}
