package preseed

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/tools/txtar"
)

// compileSchema reads Schema with an independent implementation.
func compileSchema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("preseed.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("preseed.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// structural are the kinds of faults that a schema can see.
var structural = map[FaultKind]bool{FaultUnknown: true, FaultNotBuilt: true, FaultType: true}

// checkSchema compares the schema's verdict with Parse's.
func checkSchema(t *testing.T, schema *jsonschema.Schema, data []byte) {
	_, err := Parse("f", data)
	faults := errorFaults(err)
	must := false
	for _, fault := range faults {
		if fault.Kind == FaultSyntax || fault.Kind == FaultDuplicate {
			return // not a matter of structure, or not the same document
		}
		if strings.HasSuffix(fault.Message, "a name must be text") {
			continue // in JSON every name is
		}
		key, known := Lookup(fault.Key)
		// A value of the right form that means something of a later version, such as
		// secret:NAME, is text to a schema.
		must = must || structural[fault.Kind] && !(fault.Kind == FaultNotBuilt && known && key.Built && len(key.Values) == 0)
	}
	text, err := yaml.YAMLToJSON(data)
	if err != nil {
		return
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return
	}
	verdict := schema.Validate(document)
	if must && verdict == nil {
		t.Errorf("Parse refuses the structure, the schema does not: %v", faults)
	}
	if len(faults) == 0 && verdict != nil {
		t.Errorf("Parse accepts the file, the schema does not: %v", verdict)
	}
}

// TestSchema holds the schema against the checker on every file of the tests.
func TestSchema(t *testing.T) {
	if !json.Valid(Schema()) {
		t.Fatal("the schema is not JSON")
	}
	schema := compileSchema(t)
	broken, err := txtar.ParseFile(brokenFile)
	if err != nil {
		t.Fatal(err)
	}
	for i, file := range append(broken.Files, goodFiles(t).Files...) {
		if i%2 == 0 || i >= len(broken.Files) {
			t.Run(file.Name, func(t *testing.T) { checkSchema(t, schema, file.Data) })
		}
	}
}

// FuzzSchema looks for structures that Parse refuses and the schema takes.
func FuzzSchema(f *testing.F) {
	for _, file := range goodFiles(f).Files {
		f.Add(file.Data)
	}
	schema := compileSchema(f)
	f.Fuzz(func(t *testing.T, data []byte) { checkSchema(t, schema, data) })
}
