package k3s

import (
	"errors"
	"io/fs"
	"net/netip"
	"path"
	"strings"
	"testing"

	"github.com/stek-edge/stek/installer/preseed"
	"github.com/stek-edge/stek/test/golden"
)

// show writes files one below the other.
func show(files []File) string {
	var b strings.Builder
	for _, f := range files {
		if f.Link != "" {
			b.WriteString("== " + f.Path + " -> " + f.Link + "\n")
			continue
		}
		b.WriteString("== " + f.Path + " " + f.Mode.String() + "\n" + string(f.Data))
	}
	return b.String()
}

func TestRender(t *testing.T) {
	for _, c := range []struct {
		name    string
		answers preseed.Answers
		facts   Facts
	}{
		{"offline", preseed.Answers{Network: preseed.Network{Offline: true}}, Facts{Name: "gh-12", Source: SourceModule}},
		{"labels", preseed.Answers{K3s: preseed.K3s{
			Role:    "server",
			Labels:  map[string]string{"stek.dev/site": "greenhouse", "a": "", "zone": "yes"},
			Taints:  []string{"only=pumps:NoSchedule"},
			Disable: []string{"traefik", "local-storage"},
		}}, Facts{Name: "gh-12", Source: SourceModule, ResolvConf: "/run/systemd/resolve/resolv.conf"}},
		{"release", preseed.Answers{}, Facts{Name: "123", Source: SourceRelease,
			Address: netip.MustParseAddr("10.1.2.3"), Device: "enp1s0", ResolvConf: "/run/systemd/resolve/resolv.conf"}},
		{"vpn", preseed.Answers{}, Facts{Name: "kas-7", Source: SourceRelease,
			Address: netip.MustParseAddr("10.77.0.7"), Device: "stek-vpn", Names: []string{"192.168.7.20", "kas-7"}}},
		{"agent", preseed.Answers{K3s: preseed.K3s{Role: "agent", Server: "https://10.77.0.1:6443", Token: "K10abc::server:hunter22", Labels: map[string]string{"hall": "7"}}},
			Facts{Name: "kas-7", Source: SourceModule, Address: netip.MustParseAddr("10.77.0.7"), Device: "stek-vpn", Names: []string{"192.168.7.20"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			files, err := Render(c.answers, c.facts)
			if err != nil {
				t.Fatal(err)
			}
			golden.Check(t, "render-"+c.name+".txt", show(files))
		})
	}
}

func TestRenderRefuses(t *testing.T) {
	good := Facts{Name: "gh-12", Source: SourceModule}
	for _, c := range []struct {
		name string
		role string
		bend func(*Facts)
		is   error
	}{
		{"another role", "server-join", func(*Facts) {}, ErrRole},
		{"an agent without a server", "agent", func(*Facts) {}, nil},
		{"no name", "", func(f *Facts) { f.Name = "" }, nil},
		{"no source", "", func(f *Facts) { f.Source = "" }, nil},
		{"address without a device", "", func(f *Facts) { f.Address = Address }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := good
			c.bend(&f)
			_, err := Render(preseed.Answers{K3s: preseed.K3s{Role: c.role}}, f)
			if err == nil || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestRootFiles(t *testing.T) {
	files, err := RootFiles([]string{"stek-coredns.tar.zst", "stek-pause.tar.zst"},
		[]string{"docker.io/rancher/mirrored-coredns-coredns:1.9.4", "docker.io/rancher/mirrored-pause:3.6"})
	if err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "root-files.txt", show(files))
	paths := map[string]File{}
	for _, f := range files {
		if _, twice := paths[f.Path]; twice {
			t.Errorf("%s is there twice", f.Path)
		}
		paths[f.Path] = f
	}
	for _, f := range files {
		if f.Mode&fs.ModeSymlink == 0 || f.Link == "/dev/null" {
			continue
		}
		if _, ok := paths[path.Join(path.Dir(f.Path), f.Link)]; !ok {
			t.Errorf("%s leads to %s, which is not there", f.Path, f.Link)
		}
	}
}

// TestAddress: the constants and the units that repeat them say the same.
func TestAddress(t *testing.T) {
	network, err := units.ReadFile("units/10-stek0.network")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"Name=" + Interface, "Address=" + Address.String() + "/32", "Address=" + Resolver.String() + "/32"} {
		if !strings.Contains(string(network), line+"\n") {
			t.Errorf("10-stek0.network does not say %s", line)
		}
	}
	listener, err := units.ReadFile("units/stek-k3s.resolved.conf")
	if err != nil || !strings.Contains(string(listener), "DNSStubListenerExtra="+Resolver.String()+"\n") {
		t.Errorf("systemd-resolved does not answer at %s: %v", Resolver, err)
	}
	for _, taken := range []string{"10.42.0.0/16", "10.43.0.0/16", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"} {
		for _, a := range []netip.Addr{Address, Resolver} {
			if netip.MustParsePrefix(taken).Contains(a) {
				t.Errorf("%s is inside %s", a, taken)
			}
		}
	}
	if !Address.IsGlobalUnicast() || Address.IsLinkLocalUnicast() || Address.IsLoopback() {
		t.Errorf("the kubelet refuses %s", Address)
	}
}
