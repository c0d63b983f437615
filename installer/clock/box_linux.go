package clock

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/installer/durable"
)

// Box is where a box keeps its times.
type Box struct {
	Epoch        string   // a file of the image, which bears the date of the image
	File         string   // where the time is written down, on the private volume
	Certificates []string // folders with the box's own certificates

	Synchronised func() bool // whether a time server sets the clock
}

// Node is an installed node.
func Node() Box {
	return Box{
		Epoch: "/usr/share/stek/image.json", File: "/state/stek/clock",
		Certificates: []string{"/var/lib/rancher/k3s/server/tls", "/var/lib/rancher/k3s/agent"},
		Synchronised: synchronised,
	}
}

// Facts reads what the box knows. What cannot be read is not known.
func (b Box) Facts() Facts {
	f := Facts{Now: time.Now(), Certificate: newest(b.Certificates), Synchronised: b.Synchronised()}
	f.Persisted, f.Confirmed = b.written()
	if info, err := os.Stat(b.Epoch); err == nil {
		f.Built = info.ModTime()
	}
	return f
}

// written reads what Save wrote: the time, and after it the last one that was
// synchronised, if one was.
func (b Box) written() (last, confirmed time.Time) {
	text, err := os.ReadFile(b.File)
	if err != nil {
		return last, confirmed
	}
	fields := strings.Fields(string(text))
	for i, into := range []*time.Time{&last, &confirmed} {
		if i >= len(fields) {
			break
		}
		if *into, err = time.Parse(time.RFC3339, fields[i]); err != nil {
			return time.Time{}, time.Time{}
		}
	}
	return last, confirmed
}

// synchronised asks the kernel. It has the answer from the time service, and takes it back
// when the clock is set by hand or nobody has confirmed it for hours (adjtimex(2)).
func synchronised() bool {
	var t unix.Timex
	_, err := unix.Adjtimex(&t)
	return err == nil && t.Status&unix.STA_UNSYNC == 0
}

// Floor sets the clock where that is due, and says what it did.
func (b Box) Floor(set func(time.Time) error) (string, error) {
	d := Decide(b.Facts())
	if !d.Wrong {
		return d.Words, nil
	}
	if err := set(d.Time); err != nil {
		return "", fmt.Errorf("setting the clock to %s: %w", day(d.Time), err)
	}
	return d.Words, nil
}

// Save writes the time down, unless it cannot be right.
func (b Box) Save() error {
	f := b.Facts()
	if !Believable(f) {
		return nil
	}
	text := f.Now.UTC().Format(time.RFC3339)
	if f.Synchronised {
		f.Confirmed = f.Now
	}
	if !f.Confirmed.IsZero() {
		text += " " + f.Confirmed.UTC().Format(time.RFC3339)
	}
	return durable.WriteFile(b.File, []byte(text+"\n"), 0o644)
}

// Set sets the kernel's clock.
func Set(to time.Time) error {
	at := unix.NsecToTimespec(to.UnixNano())
	return unix.ClockSettime(unix.CLOCK_REALTIME, &at)
}

// Bounds of a search for certificates: a damaged volume must not hold up a start.
const (
	maxFiles = 1000
	maxSize  = 1 << 20 // bytes of one file
)

var errEnough = errors.New("enough files")

// newest finds the latest NotBefore in certificate files below folders.
func newest(dirs []string) time.Time {
	var latest time.Time
	files := 0
	for _, dir := range dirs {
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".crt" {
				return nil
			}
			if files++; files > maxFiles {
				return errEnough
			}
			if info, err := d.Info(); err != nil || info.Size() > maxSize {
				return nil
			}
			if text, err := os.ReadFile(path); err == nil {
				if at := notBefore(text); at.After(latest) {
					latest = at
				}
			}
			return nil
		})
	}
	return latest
}

// notBefore is the latest NotBefore of the certificates in a PEM file.
func notBefore(text []byte) time.Time {
	var latest time.Time
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil && cert.NotBefore.After(latest) {
			latest = cert.NotBefore
		}
	}
	return latest
}
