package k3s

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"slices"

	"github.com/goccy/go-yaml"

	"github.com/stek-edge/stek/installer/preseed"
)

// File is one file to be written, or one link when Link is set.
type File struct {
	Path string // absolute
	Mode fs.FileMode
	Data []byte
	Link string
}

// Where the k3s in the image came from, as its image.json says.
const (
	SourceModule  = "module"
	SourceRelease = "release"
)

// Paths on the node. All but the last three are on the private volume.
const (
	ConfigPath     = "/etc/rancher/k3s/config.yaml"
	ResolvPath     = "/etc/rancher/k3s/resolv.conf"
	KubeconfigPath = "/etc/rancher/k3s/k3s.yaml"
	AgentImagesDir = "/var/lib/rancher/k3s/agent/images"
	RootImagesDir  = "/usr/share/stek/images"
	BinaryPath     = "/usr/bin/k3s"
	CtrPath        = "/usr/libexec/k3s/ctr" // a link to k3s, which is ctr under that name
)

// Facts are what the answer file cannot know.
type Facts struct {
	Name   string // the node's name, placeholders resolved
	Source string // SourceModule or SourceRelease

	// Address and Device replace the dummy interface. Both or neither.
	Address netip.Addr
	Device  string

	// Names are further names and addresses by which the node's API is asked for:
	// those of the site's own network.
	Names []string

	// ResolvConf names another file with the name servers that the cluster forwards
	// to. Empty means the node's systemd-resolved; see Resolver.
	ResolvConf string
}

// config is k3s' own configuration file; each key is a flag of `k3s server`.
type config struct {
	NodeName              string   `yaml:"node-name"`
	NodeIP                string   `yaml:"node-ip"`
	FlannelIface          string   `yaml:"flannel-iface"`
	TLSSAN                []string `yaml:"tls-san"`
	NodeLabel             []string `yaml:"node-label,omitempty"`
	NodeTaint             []string `yaml:"node-taint,omitempty"`
	Disable               []string `yaml:"disable,omitempty"`
	ResolvConf            string   `yaml:"resolv-conf"`
	Snapshotter           string   `yaml:"snapshotter"`
	WriteKubeconfigMode   string   `yaml:"write-kubeconfig-mode"`
	SecretsEncryption     bool     `yaml:"secrets-encryption"`
	ProtectKernelDefaults bool     `yaml:"protect-kernel-defaults"`
	KubeletArg            []string `yaml:"kubelet-arg"`
}

// imageless are the packaged components whose images are not in an image built
// with SourceModule. Left on, they would wait for a registry for ever.
var imageless = []string{"metrics-server", "servicelb", "traefik"}

// header opens every rendered file.
const header = "# Written by stek from the answer file; changes are lost at the next apply.\n"

// Render returns the files that k3s reads, for /etc on the private volume.
func Render(a preseed.Answers, f Facts) ([]File, error) {
	if err := check(a, f); err != nil {
		return nil, err
	}
	c := config{
		NodeName: f.Name, TLSSAN: []string{f.Name},
		NodeIP: Address.String(), FlannelIface: Interface,
		NodeTaint:  slices.Clone(a.K3s.Taints),
		ResolvConf: f.ResolvConf, Snapshotter: "overlayfs",
		WriteKubeconfigMode: "0600",
		// The volume is encrypted already; this keeps secrets unreadable in copies
		// of the database that leave the box as backups.
		SecretsEncryption: true,
		// The kubelet fails loudly instead of changing what RootFiles has set.
		ProtectKernelDefaults: true,
		KubeletArg: []string{
			// 100 turns the collection of unused images off: offline, what it removes
			// would not come back before the next start.
			"image-gc-high-threshold=100",
			// Logs are rotated, so a chatty pod cannot fill or wear out the disk.
			"container-log-max-files=3",
			"container-log-max-size=10Mi",
		},
	}
	if f.Address.IsValid() {
		c.NodeIP, c.FlannelIface = f.Address.String(), f.Device
	}
	// The certificate of the API is made once; what is not in it now cannot be asked
	// for by a client that checks.
	for _, name := range append([]string{c.NodeIP}, f.Names...) {
		if !slices.Contains(c.TLSSAN, name) {
			c.TLSSAN = append(c.TLSSAN, name)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(a.K3s.Labels)) {
		c.NodeLabel = append(c.NodeLabel, key+"="+a.K3s.Labels[key])
	}
	c.Disable = Disabled(a, f.Source)
	var files []File
	if c.ResolvConf == "" {
		c.ResolvConf = ResolvPath
		files = append(files, File{Path: ResolvPath, Mode: 0o644, Data: []byte(header + resolver)})
	}
	text, err := yaml.MarshalWithOptions(c, yaml.IndentSequence(true))
	if err != nil {
		return nil, fmt.Errorf("rendering %s: %w", ConfigPath, err)
	}
	return append(files, File{Path: ConfigPath, Mode: 0o600, Data: append([]byte(header), text...)}), nil
}

// Disabled lists the packaged components that this node runs without.
func Disabled(a preseed.Answers, source string) []string {
	off := slices.Clone(a.K3s.Disable)
	if source == SourceModule {
		off = append(off, imageless...)
	}
	slices.Sort(off)
	return slices.Compact(off)
}

// ErrRole tells that the answer file asks for a role that is not in this version.
var ErrRole = errors.New("not in this version")

func check(a preseed.Answers, f Facts) error {
	switch {
	case a.K3s.Role != "" && a.K3s.Role != "server":
		return fmt.Errorf("k3s.role %q: %w; use server", a.K3s.Role, ErrRole)
	case f.Name == "":
		return errors.New("the node has no name; give node.name in the answer file")
	case f.Source != SourceModule && f.Source != SourceRelease:
		return fmt.Errorf("the image does not say where its k3s is from (%q); build it again", f.Source)
	case f.Address.IsValid() != (f.Device != ""):
		return errors.New("an address and the device that has it must be given together")
	}
	return nil
}
