// Package machines lends the captured machines of this folder to tests; README.md says
// where each comes from.
//
//	inv := machines.Load(t, "mini-pc")
package machines

import (
	"bytes"
	"embed"
	"io/fs"
	"strings"
	"testing"

	"github.com/stek-edge/stek/installer/hardware"
)

//go:embed *.json
var captured embed.FS

// Site is the answer file of this folder, for all of its machines.
//
//go:embed site.yaml
var Site []byte

// Load reads one machine, by its name without the ending.
func Load(t testing.TB, name string) *hardware.Inventory {
	t.Helper()
	text, err := captured.ReadFile(name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	inv, err := hardware.Load(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return inv
}

// Names are the names of all machines, in alphabetical order.
func Names() []string {
	files, err := fs.Glob(captured, "*.json")
	if err != nil || len(files) == 0 {
		panic("no machine is embedded")
	}
	for i, name := range files {
		files[i] = strings.TrimSuffix(name, ".json")
	}
	return files
}
