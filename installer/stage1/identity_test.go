package stage1

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

func TestMachineIDIsMadeOnceAndKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "machine-id")
	if err := os.WriteFile(path, nil, 0o444); err != nil { // as the image has it
		t.Fatal(err)
	}
	if err := machineID(path); err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}\n$`).Match(first) {
		t.Errorf("not a machine id: %q", first)
	}
	if err := machineID(path); err != nil {
		t.Fatal(err)
	}
	if again, _ := os.ReadFile(path); string(again) != string(first) {
		t.Errorf("the id changed from %q to %q", first, again)
	}
	other := filepath.Join(t.TempDir(), "machine-id")
	if err := machineID(other); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(other); string(b) == string(first) {
		t.Error("two machines got the same id")
	}
}
