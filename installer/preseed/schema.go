package preseed

import "encoding/json"

// Schema returns a JSON Schema (2020-12) of the answer file, for editors that
// complete and check YAML by one. It refuses every structure that Parse refuses:
// unknown keys, wrong types, words that are not allowed. What is missing, what values mean, and whether they fit together, only Parse
// can say.
func Schema() []byte {
	schema := sectionSchema("", true)
	schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	schema["title"] = "stek answer file"
	sections := object{}
	for _, name := range ownSections {
		sections[name] = keySchema(keyIndex[name])
	}
	schema["$defs"] = sections
	text, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		panic("preseed: " + err.Error()) // cannot happen: maps, texts and numbers only
	}
	return append(text, '\n')
}

// object is a JSON object; json writes its keys in order.
type object = map[string]any

// sectionSchema describes the keys of a section. Only a whole one names the keys it
// must have: of the others a box and the rest of the file may give a part each.
func sectionSchema(path string, whole bool) object {
	properties, required := object{}, []string{}
	for _, key := range keyChildren[path] {
		if properties[key.Name()] = keySchema(key); contains(ownSections, key.Path) {
			properties[key.Name()] = object{"$ref": "#/$defs/" + key.Path}
		}
		if key.Required && whole {
			required = append(required, key.Name())
		}
	}
	schema := object{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		schema["required"] = required
	}
	return schema
}

// keySchema describes one key.
func keySchema(key *Key) object {
	schema := formSchema(key)
	schema["description"] = key.Description
	if !key.Built {
		schema["description"] = notYet + key.Description
	}
	if values := defaultValues[key.Path]; values != nil {
		switch key.Type {
		case List:
			schema["default"] = values
		case Switch:
			schema["default"] = values[0] == "true"
		default:
			schema["default"] = values[0]
		}
	}
	return schema
}

// notYet marks keys that may be written and not yet be installed by.
const notYet = "(not in this version) "

// formSchema describes the form of a key's value.
func formSchema(key *Key) object {
	text := object{"type": "string", "minLength": 1}
	if len(key.Values) > 0 {
		text = object{"type": "string", "enum": key.Values}
	}
	switch key.Type {
	case Section:
		return sectionSchema(key.Path, key.Path == "fleet" || key.Path == "secrets")
	case Items:
		return object{"type": "array", "items": sectionSchema(key.below(), key.Path != "boxes")}
	case List:
		list := object{"type": "array", "items": text, "uniqueItems": true}
		if key.Single {
			return object{"anyOf": []object{text, list}}
		}
		return list
	case Pairs:
		return object{"type": "object", "additionalProperties": object{"type": "string"}}
	case Switch:
		return object{"type": "boolean"}
	case Number:
		if key.Path == "stek" {
			return object{"const": FormatVersion}
		}
		return object{"type": "integer", "minimum": key.Min, "maximum": key.Max}
	case Size:
		return object{"anyOf": []object{
			{"type": "integer", "minimum": 1},
			{"type": "string", "pattern": `^[0-9]+(\.[0-9]+)?([kMGTP]B|[KMGTP]iB)?$`},
		}}
	}
	return text
}
