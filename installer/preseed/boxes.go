package preseed

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Box is one machine of a site: how it is recognised, and the answers that hold
// for it, what is said for all boxes included.
type Box struct {
	Serial string     `yaml:"serial" json:"serial,omitempty"` // as the machine tells it; capitals do not matter
	MAC    MACPattern `yaml:"mac" json:"mac,omitempty"`       // a whole address of one of its cards
	Answers
}

// document is a whole answer file, with what only a file has.
type document struct {
	Answers
	OtherBoxes string `yaml:"other-boxes"`
	Boxes      []Box  `yaml:"boxes"`
}

// Machine is what a box is recognised by in a file for several.
type Machine struct {
	Serial string   // from SMBIOS or the device tree
	MACs   []string // of its network cards: aa:bb:cc:dd:ee:ff
}

// File is one answer file, read and judged: of one box, or of a whole site.
type File struct {
	name   string
	doc    *document
	places map[string]position // of the values that the file gives
}

// Boxes returns the boxes that the file names, in its order.
func (f *File) Boxes() []Box { return f.doc.Boxes }

// SecretsFile returns the name of the secrets file beside this one, or "".
func (f *File) SecretsFile() string { return f.doc.Secrets.File }

// ErrNotListed says that a file for several boxes does not name this machine.
var ErrNotListed = errors.New("this machine is not among the boxes of the answer file")

// For returns the answers for one machine: those of its entry in boxes, or, where
// the file has no boxes or says other-boxes: install, those for all. {n} in
// node.name becomes the number of the entry, counted from 1. A file with boxes
// serves no machine that it does not name: a mistyped serial number would otherwise
// install a box under the wrong name. That error wraps ErrNotListed.
func (f *File) For(m Machine) (*Answers, error) {
	i, err := f.find(m)
	switch {
	case err != nil:
		return nil, err
	case i >= 0:
		a := f.doc.Boxes[i].clone()
		a.Node.Name = strings.ReplaceAll(a.Node.Name, "{n}", strconv.Itoa(i+1))
		return a, nil
	}
	return f.doc.clone(), nil
}

// NotBuilt finds what the answers for one machine ask for and this version does not
// carry out, like the function of that name, and tells where in the file. The error
// is nil or of type Faults, or that of For.
func (f *File) NotBuilt(m Machine) error {
	a, err := f.For(m)
	if err != nil {
		return err
	}
	if faults := NotBuilt(a); len(faults) > 0 {
		return f.locate(m, faults)
	}
	return nil
}

// locate tells where in the file faults stand that were found in the answers for a
// machine.
func (f *File) locate(m Machine, faults Faults) Faults {
	if i, err := f.find(m); err == nil && i >= 0 {
		return f.place(numbered("boxes", i)+".", faults)
	}
	return f.place("", faults)
}

// place is locate for the answers of one box, whose path ends with a dot, or for
// those for all. What a box does not say itself is said for all.
func (f *File) place(box string, faults Faults) Faults {
	for i := range faults {
		at, own := f.places[box+faults[i].Key]
		for key := faults[i].Key; !own && key != ""; key = key[:max(strings.LastIndexByte(key, '.'), 0)] {
			if at, own = f.places[box+key]; !own {
				at, own = f.places[key]
			}
		}
		faults[i].File, faults[i].Line, faults[i].Column = f.name, max(at.line, 1), max(at.column, 1)
	}
	return faults
}

// find returns the number of a machine's entry in boxes, or -1 where the answers
// for all are meant for it.
func (f *File) find(m Machine) (int, error) {
	found := -1
	for i := range f.doc.Boxes {
		if !f.doc.Boxes[i].is(m) {
			continue
		}
		if found >= 0 {
			at := f.places[numbered("boxes", i)]
			return 0, Faults{{File: f.name, Line: at.line, Column: at.column, Key: numbered("boxes", i), Kind: FaultConflict,
				Message: fmt.Sprintf("%s and %s are both this machine", numbered("boxes", found), numbered("boxes", i)), Remedy: "take one of them out"}}
		}
		found = i
	}
	if found < 0 && len(f.doc.Boxes) > 0 && f.doc.OtherBoxes != "install" {
		return 0, f.notListed(m)
	}
	return found, nil
}

// is reports whether a box of the file is this machine.
func (b *Box) is(m Machine) bool {
	if b.Serial != "" && !strings.EqualFold(b.Serial, strings.TrimSpace(m.Serial)) {
		return false
	}
	return b.MAC == "" || slices.ContainsFunc(m.MACs, func(mac string) bool { return strings.EqualFold(mac, string(b.MAC)) })
}

// notListed says why no box of the file is this machine, and which one it may be.
func (f *File) notListed(m Machine) error {
	message := fmt.Sprintf("%s: %v (serial number %s", f.name, ErrNotListed, quote(strings.TrimSpace(m.Serial)))
	if len(m.MACs) > 0 {
		message += ", network cards " + strings.Join(m.MACs, " ")
	}
	message += "); "
	var serials []string
	for _, b := range f.doc.Boxes {
		serials = append(serials, b.Serial)
	}
	if near := didYouMean(m.Serial, serials); near != "" {
		message += fmt.Sprintf("did you mean it by the serial number %s? ", near)
	}
	return &notListed{message + "add it to boxes, or write other-boxes: install"}
}

// notListed is ErrNotListed with the machine's own words.
type notListed struct{ text string }

func (e *notListed) Error() string { return e.text }
func (e *notListed) Unwrap() error { return ErrNotListed }

// Answers returns the answers that hold for all boxes, without defaults.
func (f *File) Answers() *Answers { return f.doc.clone() }

// boxes decodes the boxes onto copies of the answers for all.
func (d *decoder) boxes(node ast.Node) {
	const path = "boxes"
	list, ok := node.(*ast.SequenceNode)
	if !ok {
		d.wrongType(d.places[path], keyIndex[path], path, node)
		return
	}
	if len(list.Values) > maxBoxes {
		d.faults.add(d.place(node), Fault{Key: path, Kind: FaultValue, Message: fmt.Sprintf("boxes: more than %d", maxBoxes), Remedy: "split the file by site"})
		return
	}
	for i, item := range list.Values {
		box := Box{Answers: *d.doc.clone()}
		entry := numbered(path, i)
		if item, ok := unwrap(item); ok && d.entry(item, entry) {
			d.section(item, path+"[]", entry, reflect.ValueOf(&box).Elem())
		}
		d.doc.Boxes = append(d.doc.Boxes, box)
	}
}

// judgeBoxes compares the boxes with each other.
func (d *decoder) judgeBoxes() {
	if len(d.doc.Boxes) == 0 {
		if d.doc.OtherBoxes != "" {
			d.conflict("", conflict{Fault: Fault{Key: "other-boxes", Message: "other-boxes: has a meaning only beside boxes", Remedy: "take it out, or name the boxes"}})
		}
		if strings.Contains(d.doc.Node.Name, "{n}") {
			d.conflict("", conflict{Fault: Fault{Key: "node.name", Message: "node.name: {n} is the number of a box, and the file names no boxes", Remedy: "write boxes, or use {serial} or {mac}"}})
		}
		return
	}
	seen := map[string]string{} // what only one box may have, and the key that has it
	once := func(value, key, message, remedy string) {
		if first, twice := seen[value]; twice {
			d.conflict("", conflict{Fault: Fault{Key: key, Message: fmt.Sprintf("%s: %s in %s as well", key, message, first), Remedy: remedy}})
			return
		}
		seen[value] = key
	}
	for i := range d.doc.Boxes {
		box, entry := &d.doc.Boxes[i], numbered("boxes", i)
		if box.Serial == "" && box.MAC == "" && !d.faults.under(entry) {
			d.conflict("", conflict{Fault: Fault{Key: entry, Message: entry + ": nothing tells which machine this is", Remedy: "write serial, or mac"}})
		}
		if box.Serial != "" {
			once("serial "+strings.ToLower(box.Serial), entry+".serial", quote(box.Serial)+" stands", "a machine stands in the file once")
		}
		if box.MAC != "" {
			once("mac "+string(box.MAC), entry+".mac", string(box.MAC)+" stands", "a machine stands in the file once")
		}
		name := strings.ReplaceAll(box.Node.Name, "{n}", strconv.Itoa(i+1))
		if _, own := d.places[entry+".node.name"]; name != "" && !strings.Contains(name, "{serial}") && !strings.Contains(name, "{mac}") {
			if own {
				once("name "+name, entry+".node.name", quote(name)+" is the name", "each box has a name of its own")
			} else if strings.Contains(box.Node.Name, "{n}") {
				once("name "+name, "node.name", quote(name)+" is the name", "each box has a name of its own")
			} else if len(d.doc.Boxes) > 1 {
				d.conflict("", conflict{Fault: Fault{Key: "node.name", Message: "node.name: every box would be called " + quote(name), Remedy: "use {serial}, {mac} or {n}, or give each box a name of its own"}})
			}
		}
		d.ownAddresses(box, entry, once)
	}
}

// ownAddresses takes the addresses that an entry gives itself: what stands in the
// answers for all may be a network inside each box.
func (d *decoder) ownAddresses(box *Box, entry string, once func(value, key, message, remedy string)) {
	take := func(address netip.Addr, key string) {
		if _, own := d.places[key]; own && address.IsValid() {
			once("address "+address.String(), key, address.String()+" is given", "two boxes with one address disturb each other")
		}
	}
	for i, link := range box.Network.Links {
		for j, address := range link.Addresses {
			take(address.Addr(), numbered(numbered(entry+".network.links", i)+".addresses", j))
		}
	}
	if w := box.Network.VPN.WireGuard; w != nil {
		take(w.Address.Addr(), entry+".network.vpn.wireguard.address")
	}
}
