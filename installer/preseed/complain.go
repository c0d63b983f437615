package preseed

import (
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// expected names the form a key wants, in words for a message.
func expected(key *Key) string {
	if len(key.Values) > 0 && key.Type == Text {
		return oneOf(key.Values)
	}
	switch key.Type {
	case Section:
		return "a section, with its keys indented below"
	case Items:
		return "a list of sections"
	case List:
		if key.Single {
			return "text, or a list of it"
		}
		return "a list"
	case Pairs:
		return "a section of names and values"
	case Switch:
		return "true or false"
	case Number:
		return "a whole number"
	case Size:
		return "a size such as 32GB"
	}
	return "text"
}

// wrongType reports a value whose form is not the one of its key. It never shows
// the value of a section or of a secret: it may be anything.
func (d *decoder) wrongType(at position, key *Key, shown string, node ast.Node) {
	found, remedy := formOf(node), ""
	plain := ""
	if !key.Secret && (found == formText || found == formNumber || found == formSwitch) {
		plain = scalar(node)
	}
	switch {
	case key.Type == Text && (found == formNumber || found == formSwitch):
		d.wrongText(at, key, shown, node)
		return
	case key.Type == Text && found == formSection && d.src.startsWith(at, '{'):
		remedy = "text that begins with { needs quotes"
	case key.Type == Text && found == formList && d.src.startsWith(at, '['):
		remedy = "write a single value, without [ ]; text that begins with [ needs quotes"
	case key.Type == Switch && slices.Contains([]string{"yes", "on", "y", "1"}, strings.ToLower(plain)):
		remedy = "did you mean true?"
	case key.Type == Switch && slices.Contains([]string{"no", "off", "n", "0"}, strings.ToLower(plain)):
		remedy = "did you mean false?"
	case key.Type == Switch && (plain == "true" || plain == "false"):
		remedy = "write it without quotes"
	case key.Type == Number && plain != "" && isDecimal(plain):
		remedy = "write it without quotes"
	case key.Type == List && len(key.Values) > 0 && plain != "":
		remedy = fmt.Sprintf("write it as [%s]", clip(plain))
	case key.Type == List && plain != "" && !key.Single:
		remedy = "put it in [ ], or on a line of its own after a dash"
	case (key.Type == Section || key.Type == Pairs) && found == formList:
		remedy = "write key: value, without dashes or [ ]"
	case key.Type == Section && strings.Contains(plain, ":"):
		remedy = "write a blank after the colon"
	case key.Type == Section:
		remedy = "known here: " + strings.Join(names(keyChildren[key.Path]), ", ")
	case key.Example != "":
		remedy = "for example " + key.Name() + ": " + key.Example
	}
	d.faults.add(at, Fault{Key: shown, Kind: FaultType,
		Message: fmt.Sprintf("%s: expected %s, found %s", shown, expected(key), found), Remedy: remedy})
}

// wrongText reports something else where text is wanted. Numbers and switches lose
// leading zeros and capitals in YAML, so they are not taken as text.
func (d *decoder) wrongText(at position, key *Key, shown string, node ast.Node) {
	found, remedy := formNothing, "write text"
	if node != nil {
		found = formOf(node)
	}
	switch {
	case found != formNumber && found != formSwitch:
	case key.Secret:
		remedy = "put the value in quotes"
	default:
		remedy = "put the value in quotes: " + quote(scalar(node))
	}
	if len(key.Values) > 0 {
		remedy = "write " + oneOf(key.Values)
	}
	d.faults.add(at, Fault{Key: shown, Kind: FaultType,
		Message: fmt.Sprintf("%s: expected text, found %s", shown, found), Remedy: remedy})
}

// duplicate reports a key or an entry that is given again.
func (d *decoder) duplicate(at, first position, shown, name string) {
	d.faults.add(at, Fault{Key: shown, Kind: FaultDuplicate,
		Message: fmt.Sprintf("%s: %s was already given on line %d", shown, quote(name), first.line), Remedy: "keep one of them"})
}

// unknown reports a key that the format does not have at this place.
func (d *decoder) unknown(at position, path, shown, name string) {
	where := ""
	if shown != "" {
		where = " in " + shown
	}
	fault := Fault{Key: join(shown, name), Kind: FaultUnknown, Message: "unknown key " + quote(name) + where}
	if !d.faults.full() {
		fault.Remedy = suggestKey(path, name)
	}
	d.faults.add(at, fault)
}

// otherNames are what people from other tools call our keys.
var otherNames = map[string]string{
	"hostname": "node.name", "host": "node.name", "locale": "node.language", "lang": "node.language",
	"keymap": "node.keyboard", "layout": "node.keyboard", "tz": "node.timezone",
	"user": "node.admin", "users": "node.admin", "sshauthorizedkeys": "node.admin.ssh-keys", "authorizedkeys": "node.admin.ssh-keys",
	"password": "node.admin.password-hash", "passwd": "node.admin.password-hash", "hashedpassword": "node.admin.password-hash",
	"storage": "disk", "disks": "disk", "device": "disk.match", "wipe": "disk.erase", "force": "disk.erase",
	"luks": "encryption", "crypt": "encryption", "tpm": "encryption.tpm2", "pin": "encryption.tpm2.pin",
	"wifi": "network.links", "dhcp": "network.links", "interfaces": "network.links", "ethernets": "network.links",
	"kubernetes": "k3s", "shutdown": "on-finish", "reboot": "on-finish", "version": "stek", "apiversion": "stek",
}

// suggestPath says what a path with dots that is no key probably should be.
func suggestPath(path string) string {
	parent := path[:max(strings.LastIndexByte(path, '.'), 0)]
	if key, known := keyIndex[parent]; parent == "" || known && len(keyChildren[key.below()]) > 0 {
		return suggestKey(parent, path[strings.LastIndexByte(path, '.')+1:])
	}
	return suggestKey("", path)
}

// suggestKey says what an unknown key of a section probably should be.
func suggestKey(path, name string) string {
	siblings, plain := names(keyChildren[path]), fold(name)
	for _, sibling := range siblings {
		if fold(sibling) == plain {
			return "did you mean " + sibling + "?"
		}
	}
	if other, known := otherNames[plain]; known {
		return "did you mean " + other + "?"
	}
	for _, key := range keyOrder {
		if fold(key.Name()) == plain {
			if key.Parent() == "" {
				return key.Path + " stands at the top of the file, not in a section"
			}
			return "did you mean " + key.Path + "?"
		}
	}
	if near := didYouMean(name, siblings); near != "" {
		return "did you mean " + near + "?"
	}
	return "known here: " + strings.Join(siblings, ", ")
}
