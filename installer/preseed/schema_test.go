package preseed

import (
	"bytes"
	"encoding/json"
	"slices"
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
var structural = map[FaultKind]bool{FaultUnknown: true, FaultType: true}

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
		must = must || structural[fault.Kind]
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

// TestSchemaForms writes a value of every form, and a key that is not there, at every
// place of the format, and holds the schema against the checker.
func TestSchemaForms(t *testing.T) {
	schema := compileSchema(t)
	forms := map[string]any{"text": "x", "number": 7, "huge number": 1e30, "fraction": 1.5, "negative": -1, "switch": true, "nothing": nil,
		"empty text": "", "list of text": []any{"a", "b"}, "list of one twice": []any{"a", "a"}, "list of numbers": []any{1}, "list of lists": []any{[]any{"a"}},
		"list of sections": []any{map[string]any{}}, "section": map[string]any{}, "section of one": map[string]any{"unknown": "x"}, "names": map[string]any{"a": "b"}, "names of numbers": map[string]any{"a": 1}}
	checked := 0
	try := func(path string, value any) {
		data, err := json.Marshal(documentWith(path, value))
		if err != nil {
			t.Fatal(err)
		}
		checkSchema(t, schema, data)
		if t.Failed() {
			t.Fatalf("%s", data)
		}
		checked++
	}
	var paths []string
	for _, key := range Keys() {
		paths = append(paths, key.Path)
		if slices.Contains(ownSections, strings.SplitN(key.Path, ".", 2)[0]) {
			paths = append(paths, "boxes[]."+key.Path)
		}
	}
	for _, path := range paths {
		for _, value := range forms {
			try(path, value)
		}
		if key, _ := Lookup(path); key.Type == Section || key.Type == Items {
			try(strings.Replace(path+".unknown", ".unknown", map[Type]string{Section: ".unknown", Items: "[].unknown"}[key.Type], 1), "x")
		}
	}
	if checked < 1500 {
		t.Errorf("only %d documents", checked)
	}
}

// documentWith is a file that is right but for one value.
func documentWith(path string, value any) map[string]any {
	document := map[string]any{"stek": 1, "encryption": map[string]any{"recovery": map[string]any{"show": true}}}
	at := document
	names := strings.Split(path, ".")
	for _, name := range names[:len(names)-1] {
		name, list := strings.CutSuffix(name, "[]")
		below, ok := at[name].(map[string]any)
		if !ok {
			below = map[string]any{}
			at[name] = below
			if list {
				at[name] = []any{below}
			}
		}
		at = below
	}
	at[names[len(names)-1]] = value
	return document
}

// FuzzSchema looks for structures that Parse refuses and the schema takes.
func FuzzSchema(f *testing.F) {
	for _, file := range goodFiles(f).Files {
		f.Add(file.Data)
	}
	schema := compileSchema(f)
	f.Fuzz(func(t *testing.T, data []byte) { checkSchema(t, schema, data) })
}
