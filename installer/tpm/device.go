package tpm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// Device is an open TPM. Its methods may be called from several goroutines; they take
// turns.
type Device struct {
	mu     sync.Mutex
	conn   transport.TPMCloser
	sess   *session    // HMAC session, started when first needed
	pinned *storageKey // the key that sessions must be salted to, once it is known
}

// Open opens a TPM: a device file ("/dev/tpmrm0"; not "/dev/tpm0", which only one program
// can hold), or "swtpm:" and the path of the data socket of a `swtpm socket --tpm2 --server
// type=unixio,path=…`. An emulator gets its TPM2_Startup here if it had none. Without a
// TPM the error is a *NoDeviceError; waiting for a slow driver is the caller's business.
func Open(spec string) (*Device, error) {
	if path, ok := strings.CutPrefix(spec, "swtpm:"); ok {
		d := New(socketConn(path))
		if err := d.startup(); err != nil {
			return nil, openError(spec, err)
		}
		return d, nil
	}
	conn, err := openCharDevice(spec)
	if err != nil {
		return nil, openError(spec, err)
	}
	return New(conn), nil
}

// New makes a Device from any connection to a started TPM. The Device closes it.
func New(conn transport.TPMCloser) *Device { return &Device{conn: conn} }

// Close ends the session in the TPM and closes the connection.
func (d *Device) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	o := &op{ctx: context.Background(), d: d}
	o.dropSession()
	return d.conn.Close()
}

func openError(spec string, err error) error {
	if errors.Is(err, fs.ErrNotExist) || isNoDevice(err) {
		return &NoDeviceError{Spec: spec, Err: err}
	}
	return fmt.Errorf("opening the TPM at %s: %w", spec, err)
}

// startup does what firmware does for a real TPM. Part 3, section 9.3: a second
// TPM2_Startup is answered with TPM_RC_INITIALIZE and changes nothing.
func (d *Device) startup() error {
	o, done := d.begin(context.Background())
	defer done()
	_, err := tpm2.Startup{StartupType: tpm2.TPMSUClear}.Execute(o)
	if isRC(err, tpm2.TPMRCInitialize) {
		return nil
	}
	return err
}

// op is one operation on the device: it holds the device's lock, and is the connection
// that commands of the operation are sent on.
type op struct {
	ctx context.Context
	d   *Device
}

// begin starts an operation; the returned function ends it.
func (d *Device) begin(ctx context.Context) (*op, func()) {
	d.mu.Lock()
	return &op{ctx: ctx, d: d}, d.mu.Unlock
}

// Limits of asking again when the TPM says "later". Self-tests of slow chips take some
// seconds.
const (
	busyFirst = 2 * time.Millisecond
	busyStep  = 500 * time.Millisecond
	busyTotal = 20 * time.Second
)

// Send implements go-tpm's transport. It asks again when the TPM says that a condition
// will pass (part 2, section 6.6.3: the command had no effect); only the kernel's
// /dev/tpmrm0 does so by itself. The context is looked at between commands: a command
// that was sent is always waited for, since it may change the TPM.
func (o *op) Send(cmd []byte) ([]byte, error) {
	start, wait := time.Now(), busyFirst
	for {
		if err := o.ctx.Err(); err != nil {
			return nil, err
		}
		rsp, err := o.d.conn.Send(cmd)
		if err != nil {
			return nil, fmt.Errorf("talking to the TPM: %w", err)
		}
		if len(rsp) < 10 || binary.BigEndian.Uint32(rsp[2:6]) != uint32(len(rsp)) {
			return nil, fmt.Errorf("talking to the TPM: an answer of %d bytes is not a TPM response", len(rsp))
		}
		rc := tpm2.TPMRC(binary.BigEndian.Uint32(rsp[6:10]))
		switch rc {
		case tpm2.TPMRCFailure:
			return nil, &FailedError{Err: rc}
		case tpm2.TPMRCRetry, tpm2.TPMRCYielded, tpm2.TPMRCTesting, tpm2.TPMRCNVRate, tpm2.TPMRCNVUnavailable:
		default:
			return rsp, nil
		}
		if spent := time.Since(start); spent > busyTotal {
			return nil, &BusyError{After: spent, Err: rc}
		}
		select {
		case <-o.ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, busyStep)
	}
}

// flush removes a transient object or session, also when the operation was cancelled:
// a chip has room for about three. An error changes nothing for the caller: the object
// goes at the next reset at the latest.
func (o *op) flush(h tpm2.TPMHandle) {
	clean := &op{ctx: context.WithoutCancel(o.ctx), d: o.d}
	_, _ = tpm2.FlushContext{FlushHandle: h}.Execute(clean)
}
