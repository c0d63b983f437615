package lock

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Format is the version of the file's layout.
const Format = 1

// Component is one thing that an image was made from.
type Component struct {
	Kind    string `json:"kind"` // "debian", "k3s", "image", ...: whose rules the version follows
	Name    string `json:"name"`
	Arch    string `json:"arch"` // the image's architecture in Debian's words: "amd64", "arm64"
	Version string `json:"version"`
	SHA256  string `json:"sha256"`           // of the file that was used, 64 hex digits
	Size    int64  `json:"size,omitempty"`   // of that file, bytes
	Source  string `json:"source,omitempty"` // where it comes from: a pool path, a module, a release name
	Note    string `json:"note,omitempty"`   // for a person: "not for production"
}

// ID tells components of one lock apart.
func (c Component) ID() string { return c.Kind + "/" + c.Name + "/" + c.Arch }

// Lock is the content of components.lock.
type Lock struct {
	Components []Component
}

// Read reads a lock file. A file that does not exist is an empty lock.
func Read(name string) (*Lock, error) {
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return &Lock{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the component lock: %w", err)
	}
	l, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("reading the component lock %s: %w", name, err)
	}
	return l, nil
}

// Parse decodes a lock. Unknown fields, unknown formats, doubled and incomplete
// components are errors.
func Parse(data []byte) (*Lock, error) {
	var file struct {
		Format     int         `json:"format"`
		Components []Component `json:"components"`
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&file); err != nil {
		return nil, err
	}
	if decoder.More() {
		return nil, errors.New("there is something behind the end of the lock")
	}
	if file.Format != Format {
		return nil, fmt.Errorf("format %d is not known, only %d", file.Format, Format)
	}
	l := &Lock{Components: file.Components}
	if err := l.check(); err != nil {
		return nil, err
	}
	l.sort()
	return l, nil
}

func (l *Lock) check() error {
	seen := map[string]bool{}
	for _, c := range l.Components {
		if c.Kind == "" || c.Name == "" || c.Arch == "" || c.Version == "" {
			return fmt.Errorf("component %q is incomplete: it needs kind, name, arch and version", c.ID())
		}
		if digest, err := hex.DecodeString(c.SHA256); err != nil || len(digest) != 32 || strings.ToLower(c.SHA256) != c.SHA256 {
			return fmt.Errorf("component %s: sha256 %q is not 64 lower-case hex digits", c.ID(), c.SHA256)
		}
		if c.Size < 0 {
			return fmt.Errorf("component %s: size %d is negative", c.ID(), c.Size)
		}
		if seen[c.ID()] {
			return fmt.Errorf("component %s stands there twice", c.ID())
		}
		seen[c.ID()] = true
	}
	return nil
}

func (l *Lock) sort() {
	slices.SortFunc(l.Components, func(a, b Component) int {
		return cmp.Or(cmp.Compare(a.Arch, b.Arch), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
}

// Replace returns a lock in which the components of one architecture are exactly
// these; those of other architectures stay.
func (l *Lock) Replace(arch string, components []Component) *Lock {
	next := &Lock{Components: slices.Clone(components)}
	for _, c := range l.Components {
		if c.Arch != arch {
			next.Components = append(next.Components, c)
		}
	}
	next.sort()
	return next
}

// Of returns the components of one architecture.
func (l *Lock) Of(arch string) []Component {
	var of []Component
	for _, c := range l.Components {
		if c.Arch == arch {
			of = append(of, c)
		}
	}
	return of
}

// Marshal encodes the lock, sorted, one component per line.
func (l *Lock) Marshal() ([]byte, error) {
	next := &Lock{Components: slices.Clone(l.Components)}
	if err := next.check(); err != nil {
		return nil, err
	}
	next.sort()
	var out bytes.Buffer
	fmt.Fprintf(&out, "{\n  \"format\": %d,\n  \"components\": [", Format)
	for i, c := range next.Components {
		line, err := json.Marshal(c)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteString("\n    ")
		out.Write(line)
	}
	if len(next.Components) > 0 {
		out.WriteString("\n  ")
	}
	out.WriteString("]\n}\n")
	return out.Bytes(), nil
}

// Write writes the lock file, whole or not at all.
func (l *Lock) Write(name string) error {
	data, err := l.Marshal()
	if err != nil {
		return fmt.Errorf("writing the component lock: %w", err)
	}
	temp, err := os.CreateTemp(filepath.Dir(name), ".components.lock-*")
	if err != nil {
		return fmt.Errorf("writing the component lock: %w", err)
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(data)
	err = errors.Join(err, temp.Chmod(0o644), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), name)
	}
	if err != nil {
		return fmt.Errorf("writing the component lock: %w", err)
	}
	return nil
}
