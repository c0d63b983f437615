package installer

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// unwritten are the facts of a plan that WritePlan does not write, by the paths of their
// fields, each with what stands for it or why nobody who reads a plan decides by it.
var unwritten = map[string]string{
	"Image.K3sSource":   "in the words of Image.K3s",
	"Image.RootHash":    "the check of the stick compares it",
	"Image.RootBytes":   "in the words of the steps",
	"Image.HashOffset":  "where in the image something lies",
	"Image.Signed":      "in the words of Unlock",
	"Image.KeysToEnrol": "makes nothing happen without Enrol",

	"Disk.Chosen.ByID":       "another name for the serial number",
	"Disk.Chosen.WWN":        "another name for the serial number",
	"Disk.Chosen.SectorSize": "in the sizes of the layout",
	"Disk.Chosen.Rotational": "decides only when the copy is read back",
	"Disk.Chosen.Removable":  "a disk is chosen by its bus",
	"Disk.Chosen.ReadOnly":   "no plan takes such a disk",
	"Disk.Chosen.Boot":       "no plan takes such a disk",
	"Disk.Chosen.InUse":      "no plan takes such a disk",
	"Disk.Chosen.Fault":      "in Disk.Erased",
	"Disk.Chosen.Table":      "in Disk.Erased",
	"Disk.Chosen.TableGUID":  "in Disk.Erased",
	"Disk.Chosen.Content":    "in Disk.Erased",
	"Disk.Chosen.Remains":    "in Disk.Erased",
	"Disk.Chosen.Partitions": "in Disk.Erased",

	"Disk.Layout.DiskSize":         "that of the disk",
	"Disk.Layout.SectorSize":       "that of the disk",
	"Disk.Layout.GUID":             "a random number",
	"Disk.Layout.Partitions.GUID":  "a random number",
	"Disk.Layout.Partitions.Type":  "follows from the name",
	"Disk.Layout.Partitions.Start": "one lies behind the other",

	"Unlock.Sealing": "in Unlock.Words",
	"Unlock.PIN":     "in Unlock.Words",
	"Enrol":          "in Steps",
	"Steps.Name":     "for the journal; Words are for people",

	"Cards":                "the links name those that they use",
	"Network.Links.Link":   "in the words of the link",
	"Network.Links.Cards":  "in the words of the link",
	"Network.Links.Fault":  "no plan is made with one",
	"Network.Links.Remedy": "no plan is made with one",
}

// TestPlanIsWritten: each fact of a plan, as it may get more of them, changes what a person
// reads and agrees to, or stands above.
func TestPlanIsWritten(t *testing.T) {
	written := func(p *Plan) string {
		var b strings.Builder
		if err := WritePlan(&b, p); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	full := func() (*Plan, []fact) {
		p := &Plan{}
		return p, fill(reflect.ValueOf(p).Elem(), "", 0)
	}
	plan, facts := full()
	before := written(plan)
	used := map[string]bool{}
	for i, f := range facts {
		other, its := full()
		its[i].change()
		changed := written(other) != before
		at := slices.IndexFunc(paths(f.path), func(path string) bool { return unwritten[path] != "" })
		switch listed := at >= 0; {
		case listed:
			used[paths(f.path)[at]] = true
			if changed {
				t.Errorf("%s is written: it does not belong on the list", f.path)
			}
		case !changed:
			t.Errorf("nobody who reads a plan learns of %s", f.path)
		}
	}
	for path := range unwritten {
		if !used[path] {
			t.Errorf("a plan has no %s", path)
		}
	}
}

// fact is a field of a plan, or how many there are of it.
type fact struct {
	path   string
	change func()
}

// fill gives everything in v a value of its own, and tells of each fact in it.
func fill(v reflect.Value, path string, seed int) (facts []fact) {
	of := func(change func()) []fact { return append(facts, fact{path, change}) }
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("%s-%d", path, seed))
		return of(func() { v.SetString(v.String() + "-changed") })
	case reflect.Bool:
		return of(func() { v.SetBool(!v.Bool()) })
	case reflect.Int:
		v.SetInt(int64(seed + 1))
		return of(func() { v.SetInt(v.Int() + 1000) })
	case reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(seed+1) << 30)
		return of(func() { v.SetUint(v.Uint() >> 1) })
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return append(fill(v.Elem(), path, seed), of(v.SetZero)...)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			facts = append(facts, fill(v.Index(i), path, seed+i)...)
		}
		return of(func() { v.SetLen(1) })
	case reflect.Struct:
		for i := range v.NumField() {
			name := strings.TrimPrefix(path+"."+v.Type().Field(i).Name, ".")
			facts = append(facts, fill(v.Field(i), name, seed)...)
		}
		return facts
	}
	panic(fmt.Sprintf("%s is of a kind that no plan had: %s", path, v.Kind()))
}

// paths are a path and those that it lies below.
func paths(path string) (all []string) {
	for i, c := range path {
		if c == '.' {
			all = append(all, path[:i])
		}
	}
	return append(all, path)
}
