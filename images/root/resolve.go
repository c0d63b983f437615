package root

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stek-edge/stek/images/lock"
)

// debianKeyring holds the keys that sign Debian's archives. Only these are
// believed, whatever keys the building machine trusts for itself.
const debianKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// Source says what to build a base from.
type Source struct {
	Arch     string // in Debian's words: "amd64", "arm64"
	Mirror   Mirror
	Packages PackageList // empty: the reviewed list of this program
	Epoch    time.Time   // the time stamp of everything in the image, whole seconds
	CacheDir string      // kept from build to build; made when missing
	Runner   Runner
	Progress Reporter
}

// Package is one Debian package of a base.
type Package struct {
	Name     string
	Version  string
	Arch     string // of the package: "amd64", "all"
	SHA256   string // of the .deb, from apt's signed index
	Size     int64  // of the .deb, bytes
	Filename string // below the archive: "pool/main/..."
	Unpacked bool   // only unpacked, not installed
	stanza   string // its control paragraph from the index
}

// Resolved is the exact set of packages that a Source means today.
type Resolved struct {
	Source   Source
	Packages []Package // sorted by name
	apt      aptCache
}

// Components returns the packages as entries for the component lock.
func (r *Resolved) Components() []lock.Component {
	var components []lock.Component
	for _, p := range r.Packages {
		components = append(components, lock.Component{
			Kind: "debian", Name: p.Name, Arch: r.Source.Arch, Version: p.Version, SHA256: p.SHA256, Size: p.Size, Source: p.Filename,
		})
	}
	return components
}

// Resolve asks the mirrors which packages the list stands for now: apt's own
// solver, on package indexes that are kept in the cache. It takes a few seconds,
// and downloads no package.
func Resolve(ctx context.Context, s Source) (*Resolved, error) {
	if err := s.complete(); err != nil {
		return nil, fmt.Errorf("preparing the package list: %w", err)
	}
	apt, err := newAptCache(s)
	if err != nil {
		return nil, fmt.Errorf("preparing the package cache: %w", err)
	}
	s.Progress.say("resolve", "reading the package indexes of "+s.Mirror.Archive)
	if err := apt.run(ctx, nil, "apt-get", "-q", "update"); err != nil {
		return nil, fmt.Errorf("reading the package indexes of %s and %s: %w", s.Mirror.Archive, s.Mirror.Security, err)
	}
	r := &Resolved{Source: s, apt: apt}
	chosen, err := apt.simulate(ctx, s.Packages.Install)
	if err != nil {
		return nil, fmt.Errorf("choosing package versions: %w", err)
	}
	if r.Packages, err = apt.show(ctx, chosen...); err != nil {
		return nil, fmt.Errorf("looking up packages: %w", err)
	}
	if len(r.Packages) != len(chosen) {
		return nil, fmt.Errorf("looking up packages: apt chose %d and described %d", len(chosen), len(r.Packages))
	}
	unpack, err := apt.candidates(ctx, s.Packages)
	if err != nil {
		return nil, fmt.Errorf("looking up packages: %w", err)
	}
	for _, p := range unpack {
		if slices.ContainsFunc(r.Packages, func(q Package) bool { return q.Name == p.Name }) {
			return nil, fmt.Errorf("package %s is both installed and unpacked", p.Name)
		}
		r.Packages = append(r.Packages, p)
	}
	slices.SortFunc(r.Packages, func(a, b Package) int { return strings.Compare(a.Name, b.Name) })
	s.Progress.say("resolve", fmt.Sprintf("%d packages", len(r.Packages)))
	return r, nil
}

func (s *Source) complete() error {
	switch {
	case s.Arch != "amd64" && s.Arch != "arm64":
		return fmt.Errorf("architecture %q is not amd64 or arm64", s.Arch)
	case s.Mirror.Archive == "" || s.Mirror.Security == "":
		return errors.New("the mirror needs both an archive and a security archive")
	case strings.ContainsAny(s.Mirror.Archive+s.Mirror.Security, " \t\n\"[]"):
		return fmt.Errorf("mirror addresses %q, %q hold characters that no address has", s.Mirror.Archive, s.Mirror.Security)
	case s.Epoch.Unix() <= 0:
		return errors.New("no build time is given")
	case s.CacheDir == "":
		return errors.New("no cache folder is given")
	case s.Runner == nil:
		return errors.New("no runner is given")
	}
	if len(s.Packages.Install) == 0 {
		list, err := Packages(s.Arch)
		if err != nil {
			return err
		}
		s.Packages = list
	}
	if _, err := os.Stat(debianKeyring); err != nil {
		return &MissingToolError{Tool: debianKeyring, Package: "debian-archive-keyring"}
	}
	return nil
}

// aptCache is a private apt: its own sources, lists and archives, nothing of the
// machine's.
type aptCache struct {
	dir    string
	runner Runner
}

func (a aptCache) lists() string    { return filepath.Join(a.dir, "lists") }
func (a aptCache) archives() string { return filepath.Join(a.dir, "archives") }

func newAptCache(s Source) (aptCache, error) {
	dir, err := filepath.Abs(filepath.Join(s.CacheDir, "apt-"+s.Arch))
	if err != nil {
		return aptCache{}, err
	}
	if strings.ContainsAny(dir, "\"'\\\n;") {
		return aptCache{}, fmt.Errorf("apt cannot work in a folder named %q: no quotes, backslashes or semicolons", dir)
	}
	a := aptCache{dir, s.Runner}
	for _, sub := range []string{"lists/partial", "archives/partial", "unpack"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return a, err
		}
	}
	conf := fmt.Sprintf(`Dir "%[1]s";
Dir::State "%[1]s";
Dir::State::Lists "%[1]s/lists";
Dir::State::Status "%[1]s/status";
Dir::State::extended_states "%[1]s/extended_states";
Dir::Cache "%[1]s";
Dir::Cache::Archives "%[1]s/archives";
Dir::Etc::SourceList "%[1]s/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Parts "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::Etc::Trusted "/dev/null";
Dir::Etc::TrustedParts "/dev/null";
APT::Architecture "%[2]s";
APT::Architectures "%[2]s";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
pkgCacheGen::ForceEssential ",";
Acquire::Languages "none";
Acquire::Retries "3";
`, dir, s.Arch)
	files := map[string]string{"apt.conf": conf, "sources.list": aptSources(s.Mirror), "status": "", "extended_states": ""}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return a, err
		}
	}
	return a, nil
}

// aptSources are the three suites of a release that a root is made of.
func aptSources(m Mirror) string {
	var out strings.Builder
	for _, line := range [][2]string{{m.Archive, Suite}, {m.Archive, Suite + "-updates"}, {m.Security, Suite + "-security"}} {
		fmt.Fprintf(&out, "deb [signed-by=%s] %s %s main non-free-firmware\n", debianKeyring, line[0], line[1])
	}
	return out.String()
}

func (a aptCache) command(name string, args ...string) Command {
	return Command{Name: name, Args: args, Env: []string{"APT_CONFIG=" + filepath.Join(a.dir, "apt.conf")}}
}

func (a aptCache) run(ctx context.Context, lines func(string), name string, args ...string) error {
	c := a.command(name, args...)
	c.Lines = lines
	return a.runner.Run(ctx, c)
}

// essential is apt's pattern for what every Debian system has, apt itself left out
// by ForceEssential.
const essential = "?essential"

var instLine = regexp.MustCompile(`(?m)^Inst (\S+) \((\S+) .*\[(\S+)\]\)`)

// simulate lets apt choose: "name=version" of all packages to be installed.
func (a aptCache) simulate(ctx context.Context, install []string) ([]string, error) {
	out, err := output(ctx, a.runner, a.command("apt-get", append([]string{"-q", "-s", "install", essential}, install...)...))
	if err != nil {
		return nil, err
	}
	var chosen []string
	for _, m := range instLine.FindAllSubmatch(out, -1) {
		chosen = append(chosen, fmt.Sprintf("%s=%s", m[1], m[2]))
	}
	if len(chosen) == 0 {
		return nil, errors.New("apt chose nothing")
	}
	return chosen, nil
}

// show describes packages, each given as a name or "name=version".
func (a aptCache) show(ctx context.Context, names ...string) ([]Package, error) {
	out, err := output(ctx, a.runner, a.command("apt-cache", append([]string{"show", "--no-all-versions"}, names...)...))
	if err != nil {
		return nil, err
	}
	return parsePackages(out)
}

var firstDependency = regexp.MustCompile(`^([a-z0-9][a-z0-9+.-]+) \(= ([^)]+)\)`)

// candidates describes the packages that are only unpacked, the kernel among them.
func (a aptCache) candidates(ctx context.Context, list PackageList) ([]Package, error) {
	names := slices.Clone(list.Unpack)
	if list.Kernel != "" {
		out, err := output(ctx, a.runner, a.command("apt-cache", "show", "--no-all-versions", list.Kernel))
		if err != nil {
			return nil, err
		}
		fields := parseControl(out)
		if len(fields) != 1 {
			return nil, fmt.Errorf("the kernel package %s is described %d times", list.Kernel, len(fields))
		}
		m := firstDependency.FindStringSubmatch(fields[0]["depends"])
		if m == nil {
			return nil, fmt.Errorf("the kernel package %s depends on %q, not on one exact kernel", list.Kernel, fields[0]["depends"])
		}
		names = append(names, m[1]+"="+m[2])
	}
	if len(names) == 0 {
		return nil, nil
	}
	packages, err := a.show(ctx, names...)
	if err != nil {
		return nil, err
	}
	if len(packages) != len(names) {
		return nil, fmt.Errorf("asked for %d packages to unpack and found %d", len(names), len(packages))
	}
	for i := range packages {
		packages[i].Unpacked = true
	}
	return packages, nil
}

// parsePackages reads paragraphs of a Packages index. The same package from two
// suites counts once.
func parsePackages(data []byte) ([]Package, error) {
	var packages []Package
	seen := map[string]bool{}
	for stanza := range bytes.SplitSeq(bytes.TrimSpace(data), []byte("\n\n")) {
		for _, fields := range parseControl(stanza) {
			p := Package{Name: fields["package"], Version: fields["version"], Arch: fields["architecture"],
				SHA256: fields["sha256"], Filename: fields["filename"], stanza: strings.TrimSpace(string(stanza))}
			if !packageName.MatchString(p.Name) || p.Version == "" || p.Arch == "" {
				return nil, fmt.Errorf("a package is described without name, version or architecture: %.80q", stanza)
			}
			if digest, err := hex.DecodeString(p.SHA256); err != nil || len(digest) != 32 {
				return nil, fmt.Errorf("package %s is described without a SHA-256", p.Name)
			}
			size, err := strconv.ParseInt(fields["size"], 10, 64)
			if err != nil || size <= 0 {
				return nil, fmt.Errorf("package %s is described with the size %q", p.Name, fields["size"])
			}
			p.Size = size
			if seen[p.Name] {
				continue
			}
			seen[p.Name] = true
			packages = append(packages, p)
		}
	}
	return packages, nil
}
