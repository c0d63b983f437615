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
	TokenPath      = "/etc/rancher/k3s/token" // of an agent
	KubeconfigPath = "/etc/rancher/k3s/k3s.yaml"
	// KubeletConfigPath has the credentials of the node itself, which an agent has no
	// others than.
	KubeletConfigPath = "/var/lib/rancher/k3s/agent/kubelet.kubeconfig"
	// RolePath makes the unit run an agent.
	RolePath       = "/etc/systemd/system/k3s.service.d/stek-agent.conf"
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

// config is k3s' own configuration file; each key is a flag of `k3s server`, or of `k3s
// agent` when Server is given.
type config struct {
	Server                string   `yaml:"server,omitempty"`
	TokenFile             string   `yaml:"token-file,omitempty"`
	NodeName              string   `yaml:"node-name"`
	NodeIP                string   `yaml:"node-ip"`
	FlannelIface          string   `yaml:"flannel-iface"`
	TLSSAN                []string `yaml:"tls-san,omitempty"`
	NodeLabel             []string `yaml:"node-label,omitempty"`
	NodeTaint             []string `yaml:"node-taint,omitempty"`
	Disable               []string `yaml:"disable,omitempty"`
	ResolvConf            string   `yaml:"resolv-conf"`
	Snapshotter           string   `yaml:"snapshotter"`
	WriteKubeconfigMode   string   `yaml:"write-kubeconfig-mode,omitempty"`
	SecretsEncryption     bool     `yaml:"secrets-encryption,omitempty"`
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
		NodeName: f.Name,
		NodeIP:   Address.String(), FlannelIface: Interface,
		NodeTaint:  slices.Clone(a.K3s.Taints),
		ResolvConf: f.ResolvConf, Snapshotter: "overlayfs",
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
	for _, key := range slices.Sorted(maps.Keys(a.K3s.Labels)) {
		c.NodeLabel = append(c.NodeLabel, key+"="+a.K3s.Labels[key])
	}
	var files []File
	if a.K3s.Role == agent {
		files = append(files, c.join(a.K3s)...)
	} else {
		c.lead(a, f)
	}
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

// lead adds what only a server knows.
func (c *config) lead(a preseed.Answers, f Facts) {
	c.WriteKubeconfigMode = "0600"
	// The volume is encrypted already; this keeps secrets unreadable in copies of the
	// database that leave the box as backups.
	c.SecretsEncryption = true
	// The certificate of the API is made once; what is not in it now cannot be asked
	// for by a client that checks.
	for _, name := range append([]string{f.Name, c.NodeIP}, f.Names...) {
		if !slices.Contains(c.TLSSAN, name) {
			c.TLSSAN = append(c.TLSSAN, name)
		}
	}
	c.Disable = Disabled(a, f.Source)
}

// agent is the role of a node that a server elsewhere leads.
const agent = "agent"

// join names the server, and returns the token and what makes the unit run an agent. The
// token has a file of its own: k3s would show one in the configuration as an argument
// wherever it starts itself again.
func (c *config) join(k preseed.K3s) []File {
	c.Server, c.TokenFile = k.Server, TokenPath
	return []File{
		{Path: TokenPath, Mode: 0o600, Data: []byte(k.Token.Reveal() + "\n")},
		{Path: RolePath, Mode: 0o644, Data: []byte(header + agentUnit)},
	}
}

// agentUnit: an agent tells systemd that it is up once its server has answered, and a
// start of the box waits for no server.
const agentUnit = `[Service]
Type=exec
ExecStart=
ExecStart=` + BinaryPath + ` agent
`

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
	case a.K3s.Role != "" && a.K3s.Role != "server" && a.K3s.Role != agent:
		return fmt.Errorf("k3s.role %q: %w; use server or agent", a.K3s.Role, ErrRole)
	case a.K3s.Role == agent && (a.K3s.Server == "" || a.K3s.Token == ""):
		return errors.New("an agent needs a server to join and its token; give k3s.server and k3s.token in the answer file")
	case a.K3s.Role == agent && !f.Address.IsValid():
		return errors.New("an agent needs an address at which its server reaches it; give network.vpn in the answer file")
	case f.Name == "":
		return errors.New("the node has no name; give node.name in the answer file")
	case f.Source != SourceModule && f.Source != SourceRelease:
		return fmt.Errorf("the image does not say where its k3s is from (%q); build it again", f.Source)
	case f.Address.IsValid() != (f.Device != ""):
		return errors.New("an address and the device that has it must be given together")
	}
	return nil
}
