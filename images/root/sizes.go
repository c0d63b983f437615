package root

import (
	"cmp"
	"path"
	"slices"
	"strings"
)

// PartSize is how much of a root one part of it takes, before compression.
type PartSize struct {
	Part  string
	Files int
	Bytes int64
}

// parts tells which part of a root a path belongs to; the first match counts.
var parts = []struct {
	name     string
	patterns []string
}{
	{"kernel modules", []string{"usr/lib/modules"}},
	{"firmware", []string{"usr/lib/firmware"}},
	{"stek", []string{"usr/bin/stek"}},
	{"container images", []string{"usr/share/stek/images"}},
	{"k3s", []string{"usr/bin/k3s", "usr/bin/kubectl", "usr/bin/crictl", "usr/libexec/cni"}},
	{"containerd and runc", []string{"usr/bin/containerd*", "usr/bin/ctr", "usr/sbin/runc"}},
	{"systemd and udev", []string{"usr/lib/systemd", "usr/lib/udev", "usr/lib/*-linux-gnu/systemd", "usr/bin/systemd*", "usr/bin/*ctl", "usr/lib/*-linux-gnu/libsystemd*"}},
	{"ssh", []string{"usr/lib/openssh", "usr/bin/ssh*", "usr/bin/scp", "usr/bin/sftp", "usr/sbin/sshd", "etc/ssh"}},
	{"libraries", []string{"usr/lib/*-linux-gnu", "usr/lib64"}},
	{"licences", []string{"usr/share/doc"}},
	{"programs", []string{"usr/bin", "usr/sbin"}},
}

// Parts sums up the tree by part, largest first. Hard links count once.
func (t *Tree) Parts() []PartSize {
	sums := map[string]*PartSize{}
	seen := map[*content]bool{}
	for e := range t.All() {
		if e.Kind != Regular || seen[e.content] {
			continue
		}
		seen[e.content] = true
		name := PartOf(e.Path)
		if sums[name] == nil {
			sums[name] = &PartSize{Part: name}
		}
		sums[name].Files++
		sums[name].Bytes += e.Size()
	}
	var list []PartSize
	for _, s := range sums {
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b PartSize) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Part, b.Part))
	})
	return list
}

// PartOf tells which part of a root a path belongs to.
func PartOf(name string) string {
	for _, part := range parts {
		for _, pattern := range part.patterns {
			// The pattern stands for a path and all below it.
			depth := strings.Count(pattern, "/") + 1
			names := strings.Split(name, "/")
			if len(names) < depth {
				continue
			}
			if ok, _ := path.Match(pattern, strings.Join(names[:depth], "/")); ok {
				return part.name
			}
		}
	}
	return "other"
}
