package k3s

import (
	"strings"
	"testing"

	"github.com/stek-edge/stek/images/component"
	"github.com/stek-edge/stek/images/gomodule"
)

// TestRecipes: what the package says about a recipe is what the recipe builds.
func TestRecipes(t *testing.T) {
	for _, c := range []struct {
		name, module, version string
		text                  []byte
		cgo                   bool
		programs              string
	}{
		{"cni", pluginsModule, "v1.9.1", cniRecipe, false, "host-local bridge loopback bandwidth firewall portmap"},
		{"flannel", pluginsModule, "v0.9.1", flannelRecipe, false, "flannel"},
		{"k3s", "github.com/k3s-io/k3s", "v1.25.5-0.20221115215439-0dc63334c0db", k3sRecipe, true, "k3s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := gomodule.Parse(c.name, c.text)
			if err != nil {
				t.Fatal(err)
			}
			var programs []string
			for _, p := range r.Programs {
				programs = append(programs, p.Name)
			}
			if got := strings.Join(programs, " "); got != c.programs || r.CGO != c.cgo || r.Module(c.module) != c.version {
				t.Errorf("builds %q of %s, cgo %v", got, r.Module(c.module), r.CGO)
			}
			for _, f := range r.Files {
				if f.Name == "go.sum" && strings.Contains(string(f.Data), c.module+" "+c.version+" h1:") {
					return
				}
			}
			t.Errorf("go.sum does not name the sources of %s", c.module)
		})
	}
	if !strings.Contains(string(k3sRecipe), "version.Version="+ModuleVersion+"\n") {
		t.Errorf("the recipe does not build %s", ModuleVersion)
	}
}

func TestRootPackages(t *testing.T) {
	has := func(source component.Source, name string) bool {
		return strings.Contains(" "+strings.Join(RootPackages(source), " ")+" ", " "+name+" ")
	}
	if !has(component.Module, "containerd") || has(component.Release, "containerd") || !has(component.Release, "iptables") {
		t.Error("containerd goes with the source module, iptables with both")
	}
}
