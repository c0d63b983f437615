package k3s

import (
	"context"
	_ "embed" // the recipes
	"path"

	"github.com/stek-edge/stek/images/component"
	"github.com/stek-edge/stek/images/gomodule"
)

//go:embed recipes/k3s.txtar
var k3sRecipe []byte

//go:embed recipes/cni.txtar
var cniRecipe []byte

//go:embed recipes/flannel.txtar
var flannelRecipe []byte

// ModuleVersion is the release that the source module builds.
const ModuleVersion = "v1.25.4+k3s1"

// pluginsModule is the module that all CNI plugins are from.
const pluginsModule = "github.com/containernetworking/plugins"

// addModule builds k3s and the CNI plugins. The plugins are small and fail early
// when the sources cannot be reached, so they are built first.
func addModule(ctx context.Context, o Options) (Added, error) {
	var got Added
	b := gomodule.Builder{Cache: o.Cache, Arch: o.Arch, Go: o.Go, Report: o.Report}
	for _, part := range []struct {
		name, module, version string
		text                  []byte
		dir                   string
		production            bool
	}{
		{name: "cni", module: pluginsModule, text: cniRecipe, dir: CNIDir, production: true},
		{name: "flannel", module: pluginsModule, text: flannelRecipe, dir: CNIDir},
		{name: "k3s", module: "github.com/k3s-io/k3s", version: ModuleVersion, text: k3sRecipe, dir: path.Dir(BinaryPath)},
	} {
		recipe, err := gomodule.Parse(part.name, part.text)
		if err != nil {
			return Added{}, err
		}
		built, err := b.Build(ctx, recipe)
		if err != nil {
			return Added{}, err
		}
		version := part.version
		if version == "" {
			version = recipe.Module(part.module)
		}
		for _, p := range built {
			name := p.Name
			if part.dir == CNIDir {
				name = "cni-" + p.Name
			}
			got.Files = append(got.Files, component.File{Path: path.Join(part.dir, p.Name), Mode: 0o755, Host: p.Path})
			got.Components = append(got.Components, component.Component{
				Name: name, Version: version, SHA256: p.SHA256, Source: component.Module,
				Origin: part.module + "@" + recipe.Module(part.module), Production: part.production,
			})
		}
	}
	return got, nil
}
