package secureboot

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-eventlog/tcg"
)

// logWriter writes a crypto-agile event log with SHA-256 digests (TCG PC Client
// Platform Firmware Profile 1.06, section 10.2).
type logWriter struct{ bytes.Buffer }

func newLog() *logWriter {
	w := &logWriter{}
	var id bytes.Buffer
	write(&id, []byte("Spec ID Event03\x00"), uint32(0), []byte{0, 2, 0, 2}, uint32(1), uint16(0x000b), uint16(32), byte(0))
	write(w, uint32(0), uint32(tcg.NoAction), make([]byte, 20), uint32(id.Len()), id.Bytes())
	return w
}

func (w *logWriter) event(pcr int, typ tcg.EventType, data []byte) {
	sum := sha256.Sum256(data)
	w.eventAs(pcr, typ, data, sum[:])
}

func (w *logWriter) eventAs(pcr int, typ tcg.EventType, data, digest []byte) {
	write(w, uint32(pcr), uint32(typ), uint32(1), uint16(0x000b), digest, uint32(len(data)), data)
}

func write(w interface{ Write([]byte) (int, error) }, parts ...any) {
	for _, part := range parts {
		if err := binary.Write(w, binary.LittleEndian, part); err != nil {
			panic(err)
		}
	}
}

// replay is PCR 7 after events with these data.
func replay(events ...[]byte) (pcr [32]byte) {
	for _, data := range events {
		sum := sha256.Sum256(data)
		pcr = sha256.Sum256(append(pcr[:], sum[:]...))
	}
	return pcr
}

func TestPredictPCR7(t *testing.T) {
	secureBoot := variableData(variable{"SecureBoot", guidGlobal}, []byte{1})
	old := map[string][]byte{"PK": []byte("platform key"), "KEK": []byte("kek"), "db": []byte("allowed"), "dbx": []byte("refused")}
	data := func(name, content string) []byte {
		for _, v := range measuredVariables {
			if v.name == name {
				return variableData(v, []byte(content))
			}
		}
		panic(name)
	}
	log := newLog()
	log.event(0, tcg.EventType(8), []byte("firmware version"))
	log.event(7, tcg.EFIVariableDriverConfig, secureBoot)
	for _, name := range []string{"PK", "KEK", "db", "dbx"} {
		log.event(7, tcg.EFIVariableDriverConfig, data(name, string(old[name])))
	}
	log.event(7, tcg.Separator, make([]byte, 4))
	authority := variableData(variable{"db", guidDatabase}, []byte("the certificate that signed the loader"))
	log.event(7, tcg.EFIVariableAuthority, authority)
	whole := func(dbx, db string) [32]byte {
		return replay(secureBoot, data("PK", "platform key"), data("KEK", "kek"), data("db", db), data("dbx", dbx), make([]byte, 4), authority)
	}

	tests := []struct {
		name    string
		write   map[string]string // variables that hold something else by now
		next    [32]byte
		changed []string
	}{
		{"nothing changed", nil, whole("refused", "allowed"), nil},
		{"dbx updated", map[string]string{"dbx": "refused and more"}, whole("refused and more", "allowed"), []string{"dbx"}},
		{"dbx and db updated", map[string]string{"dbx": "x", "db": "y"}, whole("x", "y"), []string{"db", "dbx"}},
		{"dbx cleared", map[string]string{"dbx": ""}, whole("", "allowed"), []string{"dbx"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, v := range measuredVariables {
				content, ok := old[v.name]
				if now, changed := tt.write[v.name]; changed {
					content, ok = []byte(now), now != ""
				}
				if !ok {
					continue
				}
				if err := os.WriteFile(variablePath(dir, v), append([]byte{7, 0, 0, 0}, content...), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got, err := PredictPCR7(log.Bytes(), dir)
			if err != nil {
				t.Fatal(err)
			}
			if got.Now != whole("refused", "allowed") || got.Next != tt.next || !slices.Equal(got.Changed, tt.changed) {
				t.Errorf("now %x, next %x, changed %v", got.Now, got.Next, got.Changed)
			}
		})
	}

	t.Run("measured in another way", func(t *testing.T) {
		odd := newLog()
		odd.eventAs(7, tcg.EFIVariableDriverConfig, data("dbx", "refused"), bytes.Repeat([]byte{1}, 32))
		if _, err := PredictPCR7(odd.Bytes(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "the firmware measured dbx in a way that is not known here") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("cut off", func(t *testing.T) {
		if _, err := PredictPCR7(log.Bytes()[:log.Len()-3], t.TempDir()); err == nil {
			t.Error("a log without its end is taken")
		}
	})
}

// FuzzPredictPCR7: an event log comes from the firmware, and is never a reason to fall.
func FuzzPredictPCR7(f *testing.F) {
	log := newLog()
	log.event(7, tcg.EFIVariableDriverConfig, variableData(variable{"dbx", guidDatabase}, []byte("refused")))
	log.event(7, tcg.Separator, make([]byte, 4))
	f.Add(log.Bytes())
	f.Add([]byte{})
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte) { _, _ = PredictPCR7(b, dir) })
}
