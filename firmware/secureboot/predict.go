package secureboot

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"unicode/utf16"

	"github.com/google/go-eventlog/register"
	"github.com/google/go-eventlog/tcg"
)

// EventLog is where Linux shows what the firmware measured at this start.
const EventLog = "/sys/kernel/security/tpm0/binary_bios_measurements"

// maxEventLog bounds the log, bytes; logs of real machines are below 100 KiB, and a
// full dbx (32 KiB) may be in it twice.
const maxEventLog = 4 << 20

// PCR7 is what the firmware measured of Secure Boot at this start and what it will
// measure at the next one.
type PCR7 struct {
	Now, Next [sha256.Size]byte // of the SHA-256 bank
	Changed   []string          // variables that hold something else by now, such as "dbx"
}

// measuredVariables are the ones that PCR 7 takes with their content (TCG PC Client
// Platform Firmware Profile 1.06, section 3.3.4.8). SecureBoot itself is left as it
// was: it follows from the others at the next start, and a change of it is no update.
var measuredVariables = []variable{
	{"PK", guidGlobal}, {"KEK", guidGlobal}, {"db", guidDatabase}, {"dbx", guidDatabase},
	{"dbt", guidDatabase}, {"dbr", guidDatabase},
}

// PredictPCR7 replays the firmware's event log, once as it is and once with what the
// variables in a directory like [EFIVars] hold now: after an update of dbx they differ.
// Compare Now with the PCR before using Next: a log proves nothing by itself.
func PredictPCR7(log []byte, efivars string) (PCR7, error) {
	var p PCR7
	fail := func(err error) (PCR7, error) {
		return PCR7{}, fmt.Errorf("predicting PCR 7 of the next start: %w", err)
	}
	if len(log) > maxEventLog {
		return fail(fmt.Errorf("an event log of %d bytes", len(log)))
	}
	parsed, err := tcg.ParseEventLog(log, tcg.ParseOpts{AllowPadding: true})
	if err != nil {
		return fail(fmt.Errorf("reading the event log: %w", err))
	}
	for _, e := range parsed.Events(register.HashSHA256) {
		if e.Index != 7 || e.Type == tcg.NoAction {
			continue
		}
		if len(e.Digest) != sha256.Size {
			return fail(errors.New("the event log has no SHA-256 digests"))
		}
		next := e.Digest
		if e.Type == tcg.EFIVariableDriverConfig {
			now, name, err := current(e.Data, efivars)
			if err != nil {
				return fail(err)
			}
			if now != nil && !bytes.Equal(now, e.Data) {
				if sum := sha256.Sum256(e.Data); !bytes.Equal(sum[:], e.Digest) {
					return fail(fmt.Errorf("the firmware measured %s in a way that is not known here", name))
				}
				sum := sha256.Sum256(now)
				next = sum[:]
				p.Changed = append(p.Changed, name)
			}
		}
		extend(&p.Now, e.Digest)
		extend(&p.Next, next)
	}
	return p, nil
}

func extend(pcr *[sha256.Size]byte, digest []byte) {
	*pcr = sha256.Sum256(append(pcr[:], digest...))
}

// current is the event data (UEFI_VARIABLE_DATA) of a variable as it would be measured
// now; nil for a variable that is not one of measuredVariables.
func current(data []byte, efivars string) (now []byte, name string, err error) {
	measured, err := tcg.ParseUEFIVariableData(bytes.NewReader(data))
	if err != nil {
		return nil, "", fmt.Errorf("reading a measured variable: %w", err)
	}
	for _, v := range measuredVariables {
		if measured.VarName() != v.name || !bytes.Equal(data[:16], mixedEndian(v.guid)) {
			continue
		}
		content, err := os.ReadFile(variablePath(efivars, v))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			content = make([]byte, 4)
		case err != nil:
			return nil, "", fmt.Errorf("reading the firmware variable %s: %w", v.name, err)
		case len(content) < 4: // the attributes that efivarfs puts in front
			return nil, "", fmt.Errorf("the firmware variable %s has %d bytes", v.name, len(content))
		}
		return variableData(v, content[4:]), v.name, nil
	}
	return nil, "", nil
}

// variableData is a UEFI_VARIABLE_DATA: GUID, length of the name in characters, length
// of the content in bytes, both 64 bits wide, then the name and the content.
func variableData(v variable, content []byte) []byte {
	name := utf16.Encode([]rune(v.name))
	b := bytes.NewBuffer(mixedEndian(v.guid))
	for _, part := range []any{uint64(len(name)), uint64(len(content)), name, content} {
		_ = binary.Write(b, binary.LittleEndian, part) // into memory
	}
	return b.Bytes()
}
