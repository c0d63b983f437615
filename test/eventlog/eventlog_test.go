package eventlog

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func le(values ...any) []byte {
	var out bytes.Buffer
	for _, v := range values {
		if err := binary.Write(&out, binary.LittleEndian, v); err != nil {
			panic(err)
		}
	}
	return out.Bytes()
}

// start is the first event, for the banks SHA-1 and SHA-256.
func start() []byte {
	spec := le([]byte("Spec ID Event03\x00"), uint32(0), []byte{0, 2, 0, 2}, uint32(2), []uint16{4, 20, 11, 32}, uint8(0))
	return le(uint32(0), uint32(evNoAction), make([]byte, sha1Size), uint32(len(spec)), spec)
}

func measured(pcr, kind uint32, event string) []byte {
	one, two := sha1.Sum([]byte(event)), sha256.Sum256([]byte(event))
	return le(pcr, kind, uint32(2), uint16(4), one[:], uint16(11), two[:], uint32(len(event)), []byte(event))
}

func TestParse(t *testing.T) {
	log := bytes.Join([][]byte{start(), measured(7, 0x80000001, "SecureBoot"), measured(0, evNoAction, "StartupLocality"), measured(11, 13, ".linux\x00")}, nil)
	sum := func(s string) []byte { b := sha256.Sum256([]byte(s)); return b[:] }
	got, err := Parse(log)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]Event{{7, sum("SecureBoot")}, {11, sum(".linux\x00")}}, got); d != "" {
		t.Error(d)
	}
	whole := map[int]bool{len(start()): true, len(start()) + len(measured(7, 0, "SecureBoot")): true}
	whole[len(log)-len(measured(11, 0, ".linux\x00"))] = true
	for n := range log {
		if _, err := Parse(log[:n]); whole[n] != (err == nil) {
			t.Errorf("the first %d bytes: error %v", n, err)
		}
	}
	for name, c := range map[string]struct{ log, want string }{
		"the older form":    {strings.Replace(string(log), "Event03", "Event02", 1), "crypto agile"},
		"a bank of its own": {string(start()) + string(le(uint32(1), uint32(1), uint32(1), uint16(12), make([]byte, 48), uint32(0))), "did not announce"},
		"SHA-1 alone":       {string(start()) + string(le(uint32(1), uint32(1), uint32(1), uint16(4), make([]byte, 20), uint32(0))), "no SHA-256"},
	} {
		if _, err := Parse([]byte(c.log)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
	if _, err := Parse(log[:len(log)-1]); !errors.Is(err, ErrCut) {
		t.Errorf("error %v, want ErrCut", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(append(start(), measured(7, 1, "x")...))
	f.Fuzz(func(t *testing.T, log []byte) {
		events, err := Parse(log)
		if err == nil && len(events) > len(log)/32 {
			t.Errorf("%d events in %d bytes", len(events), len(log))
		}
	})
}
