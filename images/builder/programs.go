package builder

import (
	"context"
	"io/fs"
	"maps"
	"path"
	"slices"

	"github.com/stek-edge/stek/images/airgap"
	"github.com/stek-edge/stek/images/component"
	"github.com/stek-edge/stek/images/k3s"
	"github.com/stek-edge/stek/images/lock"
	"github.com/stek-edge/stek/images/overlay"
	"github.com/stek-edge/stek/images/root"
	nodek3s "github.com/stek-edge/stek/installer/k3s"
)

// programs are what is laid over Debian's packages: stek itself, k3s, its container
// images, and stek's units and settings.
type programs struct {
	entries  []root.Entry
	locked   []lock.Component
	k3sLabel string
	archives []string // of container images, by file name
	images   []string // container images by name
}

func (o *Options) programs(ctx context.Context) (*programs, error) {
	p := &programs{}
	added, err := k3s.Add(ctx, k3s.Options{Source: o.K3s, Arch: o.Arch, Cache: o.Cache, Report: o.Report, Pin: o.Pin, URL: o.K3sURL})
	if err != nil {
		return nil, err
	}
	p.take(added.Files, added.Components)
	for _, c := range added.Components {
		if c.Name == "k3s" {
			p.k3sLabel = c.Label()
		}
	}
	for _, f := range added.Files {
		if path.Dir(f.Path) == k3s.ImagesDir {
			p.archives = append(p.archives, path.Base(f.Path))
		}
	}
	p.images = added.Images
	if !added.ImagesIncluded {
		if err := o.airgap(ctx, p); err != nil {
			return nil, err
		}
	}
	p.entries = append(p.entries,
		root.HostFile("usr/bin/stek", 0o755, o.Stek),
		root.Dir("state", 0o755),
		root.File("usr/share/stek/image.json", 0o644, toJSON(map[string]string{"version": o.Version, "k3s": p.k3sLabel, "k3s-source": string(o.K3s)})),
	)
	return p, p.settings()
}

func (o *Options) airgap(ctx context.Context, p *programs) error {
	busybox, err := airgap.DebianBusybox(ctx, o.Cache, o.Arch, "", airgap.ExecRunner)
	if err != nil {
		return err
	}
	images, err := airgap.Build(ctx, airgap.Options{Arch: o.Arch, Cache: o.Cache, Report: o.Report, Busybox: busybox})
	if err != nil {
		return err
	}
	for _, i := range images {
		p.take([]component.File{i.File}, []component.Component{i.Component})
		p.archives, p.images = append(p.archives, path.Base(i.File.Path)), append(p.images, i.Name)
	}
	return nil
}

// settings adds stek's own files, those that k3s needs on every box, and the links
// that enable the units.
func (p *programs) settings() error {
	files := overlay.Files()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		p.entries = append(p.entries, root.File(name, 0o644, files[name]))
	}
	links := overlay.Links(files)
	for _, name := range slices.Sorted(maps.Keys(links)) {
		p.entries = append(p.entries, root.Link(name, links[name]))
	}
	ours, err := nodek3s.RootFiles(p.archives, p.images)
	if err != nil {
		return err
	}
	for _, f := range ours {
		if f.Link != "" {
			p.entries = append(p.entries, root.Link(f.Path[1:], f.Link))
			continue
		}
		p.entries = append(p.entries, root.File(f.Path[1:], uint32(f.Mode.Perm()), f.Data))
	}
	return nil
}

func (p *programs) take(files []component.File, components []component.Component) {
	for _, f := range files {
		name := path.Clean(f.Path)[1:]
		if f.Mode&fs.ModeSymlink != 0 {
			p.entries = append(p.entries, root.Link(name, f.Link))
			continue
		}
		p.entries = append(p.entries, root.HostFile(name, uint32(f.Mode.Perm()), f.Host))
	}
	for _, c := range components {
		l := lock.Component{Kind: string(c.Source), Name: c.Name, Arch: "amd64", Version: c.Version, SHA256: c.SHA256, Source: c.Origin}
		if !c.Production {
			l.Note = component.NotForProduction
		}
		p.locked = append(p.locked, l)
	}
}
