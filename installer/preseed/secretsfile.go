package preseed

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"
)

// Values are what a secrets file holds, by the NAME of secret:NAME.
type Values map[string]Secret

// maxWorkFactor bounds what a passphrase costs to try: 2^18 takes a second or two
// and 256 MiB on a small machine; age itself writes 18.
const maxWorkFactor = 18

// Passphrase is the identity of a secrets file that was encrypted with a passphrase.
func Passphrase(passphrase Secret) (age.Identity, error) {
	identity, err := age.NewScryptIdentity(passphrase.Reveal())
	if err != nil {
		return nil, errors.New("the passphrase is empty")
	}
	identity.SetMaxWorkFactor(maxWorkFactor)
	return identity, nil
}

// KeyFile reads the identities of an age key file, as age-keygen writes it. What it
// says of a broken one repeats nothing of it.
func KeyFile(r io.Reader) ([]age.Identity, error) {
	identities, err := age.ParseIdentities(io.LimitReader(r, MaxSize))
	if err != nil {
		return nil, errors.New("this is no age key file, with lines that begin with AGE-SECRET-KEY-1 (age-keygen makes one)")
	}
	return identities, nil
}

// WantsPassphrase tells whether a secrets file was encrypted with a passphrase.
func WantsPassphrase(encrypted []byte) bool {
	var head [256]byte
	n, _ := io.ReadFull(dearmored(encrypted), head[:])
	lines := strings.Split(string(head[:n]), "\n")
	return len(lines) > 1 && strings.HasPrefix(lines[1], "-> scrypt ")
}

// dearmored reads an age file in its text form as well.
func dearmored(encrypted []byte) io.Reader {
	if bytes.HasPrefix(bytes.TrimSpace(encrypted), []byte(armor.Header)) {
		return armor.NewReader(bytes.NewReader(encrypted))
	}
	return bytes.NewReader(encrypted)
}

// ReadValues decrypts and reads a secrets file: one NAME: value on each line, text
// of several lines below a |. name is what faults call the file. No error holds
// anything of what the file holds but names and places.
func ReadValues(name string, encrypted []byte, identities ...age.Identity) (Values, error) {
	if len(encrypted) > MaxSize {
		return nil, fmt.Errorf("%s is longer than %d bytes", name, MaxSize)
	}
	if len(identities) == 0 {
		return nil, fmt.Errorf("%s is encrypted, and neither a key nor a passphrase was given", name)
	}
	plain, err := age.Decrypt(dearmored(encrypted), identities...)
	var mismatch *age.NoIdentityMatchError
	switch {
	case errors.As(err, &mismatch) && WantsPassphrase(encrypted):
		return nil, fmt.Errorf("%s does not open: it was encrypted with a passphrase, and this is not the one", name)
	case errors.As(err, &mismatch):
		return nil, fmt.Errorf("%s does not open: it was not encrypted to this key", name)
	case err != nil:
		return nil, fmt.Errorf("%s is no age file, or it is damaged: %w", name, err)
	}
	text, err := io.ReadAll(io.LimitReader(plain, MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", name, err)
	}
	return parseValues(name, text)
}

// parseValues reads what a secrets file holds.
func parseValues(name string, text []byte) (Values, error) {
	faults := &collector{file: name}
	src, ok := readSource(text, faults)
	if !ok {
		return nil, faults.err()
	}
	root, ok := src.parse(faults)
	if !ok {
		for i, fault := range faults.faults {
			if fault.Kind != FaultSyntax {
				faults.faults[i].Message = "this is no list of secrets"
			}
			if fault.Remedy == beginWith {
				faults.faults[i].Remedy = "write NAME: value on each line"
			}
		}
		return nil, faults.err()
	}
	d := &decoder{src: src, faults: faults}
	values := Values{}
	for _, entry := range entries(root) {
		at := src.place(entry.Key.GetToken())
		key, isText := keyText(entry.Key)
		if p := checkSecretName(key); p != nil || !isText {
			// A line without a name would show a secret.
			faults.add(at, Fault{Kind: FaultValue, Message: "this is no name for a secret", Remedy: "use small letters, digits, dots and dashes: hall-wifi"})
			continue
		}
		value, ok := unwrap(entry.Value)
		switch _, twice := values[key]; {
		case !ok:
		case twice:
			faults.add(at, Fault{Key: key, Kind: FaultDuplicate, Message: quote(key) + " is given twice", Remedy: "keep one of them"})
		case formOf(value) == formNothing:
			faults.add(at, Fault{Key: key, Kind: FaultType, Message: key + ": no value", Remedy: "write a value, or remove the line"})
		case formOf(value) != formText:
			faults.add(d.place(value), Fault{Key: key, Kind: FaultType, Message: fmt.Sprintf("%s: expected text, found %s", key, formOf(value)), Remedy: "put the value in quotes"})
		default:
			values[key] = Secret(scalar(value))
		}
	}
	if err := faults.err(); err != nil {
		return nil, err
	}
	return values, nil
}

// Resolve returns the answers with every secret:NAME replaced by its value, judged
// like one that stands in the file. The answers given are not changed. The error is
// nil or of type Faults, without lines; see File.Resolve.
func Resolve(a *Answers, values Values) (*Answers, error) {
	faults := &collector{}
	full := a.clone()
	visit(reflect.ValueOf(full).Elem(), "", "", func(key *Key, shown string, at reflect.Value) bool {
		if !key.Secret {
			return true
		}
		name, is := Secret(at.String()).Reference()
		if !is {
			return true
		}
		value, known := values[name]
		if !known {
			remedy := "add it there"
			if near := didYouMean(name, slices.Sorted(maps.Keys(values))); near != "" {
				remedy = "did you mean secret:" + near + "?"
			}
			faults.add(position{}, Fault{Key: shown, Kind: FaultMissing, Message: fmt.Sprintf("%s: the secrets file holds no %s", shown, quote(name)), Remedy: remedy})
			return true
		}
		if _, again := value.Reference(); again {
			faults.add(position{}, Fault{Key: shown, Kind: FaultValue, Message: fmt.Sprintf("%s: %s in the secrets file is a reference itself", shown, quote(name)), Remedy: "write the value there"})
			return true
		}
		at.SetString(value.Reveal())
		if f := checkNamed(key, shown, namedText{text: value.Reveal(), entry: -1}); f != nil {
			f.Message = fmt.Sprintf("%s (%s in the secrets file)", f.Message, quote(name))
			faults.add(position{}, *f)
		}
		return true
	})
	for _, c := range conflicts(Defaults(full)) {
		if !faults.under(c.Key) {
			faults.add(position{}, c.Fault)
		}
	}
	if len(faults.faults) > 0 {
		return nil, faults.faults
	}
	return full, nil
}

// Resolve is the function of that name for answers that For made for a machine: its
// faults tell where in the file the secret is asked for.
func (f *File) Resolve(m Machine, a *Answers, values Values) (*Answers, error) {
	full, err := Resolve(a, values)
	var faults Faults
	if errors.As(err, &faults) {
		return nil, f.locate(m, faults)
	}
	return full, err
}

// NeedsSecrets tells whether a value of the answers stands in a secrets file.
func NeedsSecrets(a *Answers) bool {
	found := false
	visit(reflect.ValueOf(a).Elem(), "", "", func(key *Key, _ string, at reflect.Value) bool {
		if key.Secret {
			_, is := Secret(at.String()).Reference()
			found = found || is
		}
		return !found
	})
	return found
}

// LookUp checks that a secrets file holds what every box of the file asks for, and
// that each value is right. The error is nil or of type Faults.
func (f *File) LookUp(values Values) error {
	faults := &collector{file: f.name}
	look := func(a *Answers, box string) {
		_, err := Resolve(a, values)
		var found Faults
		errors.As(err, &found)
		for _, fault := range f.place(box, found) {
			if !slices.Contains(faults.faults, fault) {
				faults.add(position{fault.Line, fault.Column}, fault)
			}
		}
	}
	if len(f.doc.Boxes) == 0 || f.doc.OtherBoxes == "install" {
		look(&f.doc.Answers, "")
	}
	for i := range f.doc.Boxes {
		look(&f.doc.Boxes[i].Answers, numbered("boxes", i)+".")
	}
	return faults.err()
}
