package root

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// Assembly says what to make of a base.
type Assembly struct {
	Overlay  []Entry   // laid over the pruned base, in this order
	Epoch    time.Time // the time stamp of everything
	WorkDir  string    // for temporary files; empty: the system's
	Runner   Runner
	Progress Reporter

	// The rules; empty: the reviewed ones of this program.
	RootRules, ModulesRules, FirmwareRules []byte
	// KeepModules and KeepFirmware are patterns beside the rules. One that matches
	// nothing is an error.
	KeepModules, KeepFirmware []string
}

// Report tells what an assembled root holds.
type Report struct {
	KernelVersion string // empty: there is no kernel
	Sizes         []PartSize
	UnusedRules   []string // rules that matched nothing: the lists need a look
	DroppedBytes  int64    // what the rules left out
}

// PackagesStatus is where the root keeps the list of its packages in dpkg's form.
// /var/lib/dpkg, where tools look for it, points there: /var is the box's own.
const PackagesStatus = "usr/lib/sysimage/dpkg/status"

// varTmpfiles makes, on each start, the folders below /var that packages ship.
const varTmpfiles = "usr/lib/tmpfiles.d/stek-var.conf"

// Assemble makes the root out of a base: prunes it, cuts kernel modules and
// firmware to the lists, takes out what belongs to one machine, lays the overlay
// over it and indexes the modules anew. The base is not changed.
func Assemble(ctx context.Context, base *Tree, a Assembly) (*Tree, *Report, error) {
	if a.Epoch.Unix() <= 0 {
		return nil, nil, errors.New("assembling the root: no build time is given")
	}
	p, err := a.parseRules()
	if err != nil {
		return nil, nil, fmt.Errorf("assembling the root: %w", err)
	}
	a.Progress.say("assemble", "pruning")
	report := &Report{}
	version, err := KernelVersion(base)
	if err == nil {
		report.KernelVersion = version
		if p.modules, err = selectModules(base, version, p.moduleRules); err != nil {
			return nil, nil, fmt.Errorf("choosing kernel modules: %w", err)
		}
	}
	p.firmware = selectFirmware(base, p.firmwareRules)
	if err := p.wanting(&a); err != nil {
		return nil, nil, fmt.Errorf("assembling the root: %w", err)
	}

	t := NewTree()
	for e := range base.All() {
		if !p.keep(e.Path) {
			if e.Kind == Regular {
				report.DroppedBytes += e.Size()
			}
			continue
		}
		if err := t.Add(*e); err != nil {
			return nil, nil, fmt.Errorf("assembling the root: %w", err)
		}
	}
	if err := normalise(base, t); err != nil {
		return nil, nil, fmt.Errorf("assembling the root: %w", err)
	}
	for _, e := range a.Overlay {
		err := refusePrivate(e.Path)
		if err == nil && inVolatile(e.Path) {
			err = fmt.Errorf("%s would be hidden on a running box; use tmpfiles.d to make it there", e.Path)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("assembling the root: %w", err)
		}
		if err := t.Add(e); err != nil {
			return nil, nil, fmt.Errorf("assembling the root: %w", err)
		}
	}
	if version != "" {
		a.Progress.say("assemble", "indexing the modules of kernel "+version)
		work := a.WorkDir
		if work == "" {
			work = os.TempDir()
		}
		if err := depmod(ctx, a.Runner, t, version, work); err != nil {
			return nil, nil, fmt.Errorf("assembling the root: %w", err)
		}
	}
	report.Sizes = t.Parts()
	report.UnusedRules = p.unused()
	return t, report, nil
}

// pruning is what decides over each path of a base.
type pruning struct {
	rootRules, moduleRules, firmwareRules *Rules
	modules, firmware                     map[string]bool
}

func (a *Assembly) parseRules() (*pruning, error) {
	p := &pruning{}
	for _, list := range []struct {
		to    **Rules
		name  string
		data  []byte
		given []byte
		keep  []string
	}{
		{&p.rootRules, "root.rules", rootRules, a.RootRules, nil},
		{&p.moduleRules, "modules.rules", modulesRules, a.ModulesRules, a.KeepModules},
		{&p.firmwareRules, "firmware.rules", firmwareRules, a.FirmwareRules, a.KeepFirmware},
	} {
		data := list.data
		if list.given != nil {
			data = list.given
		}
		rules, err := ParseRules(list.name, data)
		if err != nil {
			return nil, err
		}
		for _, pattern := range list.keep {
			if err := rules.add(true, pattern); err != nil {
				return nil, err
			}
		}
		*list.to = rules
	}
	return p, nil
}

// wanting is the error of patterns that somebody asked for and that match nothing.
func (p *pruning) wanting(a *Assembly) error {
	var all []error
	for _, list := range []struct {
		what  string
		rules *Rules
		keep  []string
	}{{"kernel module", p.moduleRules, a.KeepModules}, {"firmware file", p.firmwareRules, a.KeepFirmware}} {
		unused := list.rules.Unused()
		for _, pattern := range list.keep {
			if slices.Contains(unused, "keep "+pattern) {
				all = append(all, fmt.Errorf("no %s of these packages matches %q", list.what, pattern))
			}
		}
	}
	return errors.Join(all...)
}

func (p *pruning) keep(name string) bool {
	switch {
	case strings.HasPrefix(name, modulesDir+"/"):
		return p.modules[name]
	case strings.HasPrefix(name, firmwareDir+"/"):
		return p.firmware[name]
	case inVolatile(name), refusePrivate(name) != nil:
		return false
	}
	return p.rootRules.Keep(name, true)
}

// inVolatile tells whether a path is below a folder that the running system fills:
// mount points of the kernel, tmpfs, and /var, which is each box's own.
func inVolatile(name string) bool {
	top, _, below := strings.Cut(name, "/")
	return below && slices.Contains([]string{"dev", "proc", "run", "sys", "tmp", "var"}, top)
}

func (p *pruning) unused() []string {
	var all []string
	for _, list := range []struct {
		name  string
		rules *Rules
	}{{"root.rules", p.rootRules}, {"modules.rules", p.moduleRules}, {"firmware.rules", p.firmwareRules}} {
		for _, rule := range list.rules.Unused() {
			all = append(all, list.name+": "+rule)
		}
	}
	return all
}

// private are paths whose content tells boxes apart, or comes from the machine that
// builds (systemd-resolved keeps a copy of the resolv.conf that it replaces).
var private = []string{
	"etc/machine-id", "etc/hostname", "etc/ssh/ssh_host_*", "etc/ssl/private/*", "etc/.resolv.conf.systemd-resolved.bak",
	"var/lib/dbus/machine-id", "var/lib/systemd/random-seed", "var/lib/systemd/credential.secret",
}

func refusePrivate(name string) error {
	for _, pattern := range private {
		if ok, _ := path.Match(pattern, name); ok {
			return fmt.Errorf("%s belongs to one box and must not be in an image", name)
		}
	}
	return nil
}

// normalise puts in what every root has, whatever the base held.
func normalise(base, t *Tree) error {
	entries := []Entry{
		// Empty: systemd makes an id, and no first-boot presets are run, which an
		// absent file would mean (machine-id(5)).
		File("etc/machine-id", 0o444, nil),
		// As old as /usr: nothing in /etc needs updating on the first start
		// (systemd-update-done.service(8)).
		File("etc/.updated", 0o644, nil),
		File("etc/hosts", 0o644, []byte("127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n")),
		Link("etc/mtab", "../proc/self/mounts"),
		Link("etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf"),
	}
	for _, dir := range []string{"boot", "dev", "etc", "home", "mnt", "proc", "root", "run", "sys", "tmp", "usr", "var"} {
		perm := uint32(0o755)
		switch dir {
		case "root":
			perm = 0o700
		case "tmp":
			perm = 0o1777
		}
		entries = append(entries, Dir(dir, perm))
	}
	if status, ok := base.Get(dpkgStatus); ok {
		moved := *status
		moved.Path, moved.Perm = PackagesStatus, 0o644
		entries = append(entries, moved)
	}
	lines, err := varFolders(base, t)
	if err != nil {
		return err
	}
	entries = append(entries, File(varTmpfiles, 0o644, lines))
	for _, e := range entries {
		if err := t.Add(e); err != nil {
			return err
		}
	}
	return nil
}

// varFolders writes tmpfiles.d(5) lines for the folders and links that packages
// have below /var, except those that the system's own lines make already.
func varFolders(base, t *Tree) ([]byte, error) {
	made := map[string]bool{"/var/lib/dpkg": true}
	for e := range t.Below("usr/lib/tmpfiles.d") {
		if e.Kind != Regular {
			continue
		}
		data, err := e.ReadAll()
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(data)) {
			if words := strings.Fields(line); len(words) > 1 && slices.Contains([]byte("dDvqQLC"), words[0][0]) {
				made[strings.TrimSuffix(words[1], "/")] = true
			}
		}
	}
	out := "# Folders that packages have below /var, which is each box's own.\n" +
		"L /var/lib/dpkg - - - - ../../" + path.Dir(PackagesStatus) + "\n"
	for e := range base.Below("var") {
		name := "/" + e.Path
		if made[name] || dropVar(e.Path) || strings.ContainsAny(name+e.Link, " \t%\"\\") {
			continue
		}
		switch e.Kind {
		case Directory:
			out += fmt.Sprintf("d %s %04o %d %d -\n", name, e.Perm, e.UID, e.GID)
		case Symlink:
			out += fmt.Sprintf("L %s - - - - %s\n", name, e.Link)
		}
	}
	return []byte(out), nil
}

// dropVar are folders below /var that only package management uses.
func dropVar(name string) bool {
	for _, dir := range []string{"var/lib/apt", "var/cache/apt", "var/lib/dpkg", "var/cache/debconf", "var/cache/adduser", "var/lib/ucf", "var/lib/pam",
		"var/lib/systemd/deb-systemd-helper-enabled", "var/lib/systemd/deb-systemd-user-helper-enabled", "var/log/apt", "var/log/runit", "var/log/README", "var/cache/ldconfig"} {
		if name == dir || strings.HasPrefix(name, dir+"/") {
			return true
		}
	}
	return false
}
