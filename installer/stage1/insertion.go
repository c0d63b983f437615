package stage1

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// insertion is a module on its way into the kernel. Modules that do not need each other go
// in side by side: much of what one takes is its own test of an algorithm or a wait for its
// device.
type insertion struct {
	name, file string
	needs      []*insertion // without these it cannot go in
	wishes     []*insertion // these go in before it, if they can
	done       chan struct{}
	err        error // once it is done
}

// load inserts a module and what it depends on, by its name or by an alias such
// as a modalias string. What is not in the index is no error: it is built in, or
// this machine's device is none that the box needs before its root is there.
func (m *moduleIndex) load(nameOrAlias string) error {
	var errs []error
	for _, i := range m.start(nameOrAlias) {
		errs = append(errs, i.wait())
	}
	return errors.Join(errs...)
}

// start begins what load does, and returns what it has asked for. It is for one goroutine
// at a time.
func (m *moduleIndex) start(nameOrAlias string) []*insertion {
	wanted, ordered := m.plan(nameOrAlias)
	for _, i := range ordered {
		go i.run(m.insert)
	}
	return wanted
}

// plan finds the modules of a name or an alias, and orders those that are not on their way
// yet: each comes after what it waits for, so that no two can wait for each other.
func (m *moduleIndex) plan(nameOrAlias string) (wanted, ordered []*insertion) {
	planning := map[string]bool{} // a loop in the index must end
	var byName func(name string) *insertion
	find := func(nameOrAlias string) (found []*insertion) {
		name := strings.ReplaceAll(nameOrAlias, "-", "_")
		if _, ok := m.file[name]; ok {
			return appendFound(nil, byName(name))
		}
		for _, a := range m.aliases {
			if aliasMatches(a.pattern, nameOrAlias) {
				found = appendFound(found, byName(moduleName(a.module)))
			}
		}
		return found
	}
	byName = func(name string) *insertion {
		if i := m.planned[name]; i != nil {
			return i
		}
		file, known := m.file[name]
		if !known || planning[name] {
			return nil
		}
		planning[name] = true
		i := &insertion{name: name, file: filepath.Join(m.dir, file), done: make(chan struct{})}
		for _, soft := range m.soft[name] {
			i.wishes = append(i.wishes, find(soft)...) // may be an alias
		}
		deps := m.deps[name]
		for n := len(deps) - 1; n >= 0; n-- { // modules.dep lists the deepest last
			i.needs = appendFound(i.needs, byName(deps[n]))
		}
		m.planned[name] = i
		ordered = append(ordered, i)
		return i
	}
	return find(nameOrAlias), ordered
}

func appendFound(to []*insertion, i *insertion) []*insertion {
	if i == nil {
		return to
	}
	return append(to, i)
}

// run inserts the module when what it waits for is done.
func (i *insertion) run(insert func(path string) error) {
	defer close(i.done)
	for _, wish := range i.wishes {
		<-wish.done
	}
	for _, need := range i.needs {
		if i.err = need.wait(); i.err != nil {
			return
		}
	}
	if err := insert(i.file); err != nil {
		i.err = fmt.Errorf("loading the kernel module %s: %w", i.name, err)
	}
}

func (i *insertion) wait() error {
	<-i.done
	return i.err
}

func insertModule(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	err = unix.FinitModule(int(f.Fd()), "", 0)
	if errors.Is(err, unix.EEXIST) || errors.Is(err, unix.ENODEV) {
		return nil // there already, or its device is not
	}
	return err
}
